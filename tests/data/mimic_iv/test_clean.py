"""Single values: right and published conversions."""

import math

import pytest

from medjax.data.mimic_iv.channels import load_channels
from medjax.data.mimic_iv.clean import Rejected, encode
from medjax.data.mimic_iv.rules import CHOICES, Rules
from medjax.errors import UsageError

CHANNELS = load_channels()
RIGHT, PUBLISHED = Rules.default(), Rules.published()
FIO2, HEIGHT, HEART, EYE, SYSTOLIC, SPO2 = 223835, 226707, 220045, 220739, 220179, 220277


def value(item: int, text: str, unit: str = "", rules: Rules = RIGHT) -> float | str:
    try:
        return round(encode(item, text, unit, CHANNELS, rules), 9)
    except Rejected as e:
        return str(e)


@pytest.mark.parametrize(
    ("item", "text", "unit", "right", "published"),
    [
        (FIO2, "40", "", 0.4, 0.4),
        (FIO2, "0.4", "", 0.4, 0.004),
        (FIO2, "300", "Torr", "outside the plausible range", 3.0),
        (HEIGHT, "70", "", 178.0, 70.0),
        (HEIGHT, "70", "Inch", 178.0, 178.0),
        (226730, "178", "cm", 178.0, 178.0),
        (SYSTOLIC, "120/80", "", 120.0, 120.0),
        (220180, "120/80", "", 80.0, 80.0),
        (SYSTOLIC, "120/", "", "not a number", "not a number"),
        (223761, "98.6", "", 37.0, 37.0),
        (223762, "37.5", "", 37.5, 37.5),
        (226531, "200", "", 90.7184, 90.7184),
        (224639, "80", "kg", 80.0, 80.0),
        (SPO2, "0.97", "", 97.0, 97.0),
        (SPO2, "-97", "", "not a number", "not a number"),
        (SPO2, "120", "", 100.0, 120.0),
        (HEART, "500", "", "outside the plausible range", 500.0),
        (HEART, ">8.0", "", "not a number", "not a number"),
        (HEART, "1,234", "", "not a number", "not a number"),
        (HEART, "inf", "", "infinite value", "infinite value"),
        (HEART, "1e308", "", "infinite value", "infinite value"),
        (HEART, " ", "", "empty value", "empty value"),
        (HEART, "nan", "", "not a number", "empty value"),
        (EYE, "Eyes", "", "unknown category", "unknown category"),
        (EYE, "None", "", float(CHANNELS.categories[3].index("None")), "empty value"),
        (198, "15.0", "", 12.0, 12.0),
        (115, "Brisk", "", 0.0, 0.0),
    ],
)
def test_values(
    item: int, text: str, unit: str, right: float | str, published: float | str
) -> None:
    assert value(item, text, unit) == right
    assert value(item, text, unit, PUBLISHED) == published


def test_whatever_is_charted_gives_a_plausible_number_or_a_reason() -> None:
    texts = ["", "___", "-5", "1e-400", "9" * 400, "1_000", "٣", "0x10", "+7", ".5", "5.", "NaN"]
    for item, entry in CHANNELS.items.items():
        for text in texts:
            got = value(item, text)
            if not isinstance(got, str):
                limits = CHANNELS.ranges[entry.channel]
                assert math.isfinite(got)
                assert limits.valid_low <= got <= limits.valid_high


def test_rules_by_name() -> None:
    rules = RIGHT.with_fields({"outlier_ranges": "off"})
    assert value(HEART, "500", "", rules) == 500.0
    assert list(RIGHT.to_dict()) == list(CHOICES)
    assert all(getattr(RIGHT, name) == choices[0] for name, choices in CHOICES.items())
    with pytest.raises(UsageError, match="fio2_rule"):
        RIGHT.with_fields({"fio2_rules": "x"})
