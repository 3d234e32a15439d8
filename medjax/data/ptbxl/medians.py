"""Where the median beats of PTB-XL+ lie."""

from pathlib import Path

from medjax.errors import UserError

SOURCES = ("12sl", "unig")
UNITS = {"12sl": "arbitrary", "unig": "mV"}
"""The headers of both say mV. Those of 12sl are about 1000 times what the feature tables say, so
their unit is open; those of unig are microvolt."""
SCALE = {"12sl": 1.0, "unig": 1e-3}
DIGITS = {"12sl": 5, "unig": 6}
"""Of the number in a record's name."""
RATE, SECONDS = 500.0, 1.2


def find_medians(folders: tuple[Path, ...], source: str) -> Path:
    """Return the folder of the median beats of `source` below one of `folders`.

    Raises:
        UserError: there is none.
    """
    for folder in folders:
        for place in (folder / "median_beats" / source, folder / source):
            if place.is_dir():
                return place
    raise UserError(
        f"{folders[0]}: no median_beats/{source} there; name the folder of PTB-XL+ by --medians"
    )


def median_path(source: str, ecg_id: int) -> str:
    """Return the path of a record's median beat in the folder of its source, without suffix."""
    return f"{ecg_id // 1000 * 1000:05d}/{ecg_id:0{DIGITS[source]}d}_medians"
