"""Reading film files safely as grey 8-bit arrays.

Files come from outside: what they claim is checked before anything is decoded.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from medjax.data.dicom import MAGIC as DICOM
from medjax.data.dicom import OFFSET, is_dicom, read_dicom
from medjax.errors import UserError

MAX_PIXELS = 64_000_000
MAX_ASPECT = 16.0
MAGIC = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}
DEPTHS = (8, 10, 12, 14, 16)
ORIENTATION = 0x0112
"""EXIF tag; from 5 on height and width of the upright image are exchanged."""
SMALLER = (8, 4, 2)
"""Factors by which a JPEG can be decoded smaller."""
OVERSAMPLING = 2
"""How much larger than wanted a film is decoded at least. At 2 the resized film differs from that
of a full decoding by 0.2 grey levels on average and 3 at most (measured on radiographs of 2544
pixels brought to 512), at 1 by 15; storing it as JPEG of quality 75 costs 1.1 and 30."""


def read_grey(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a JPEG or PNG file as uint8 [height, width]; otherwise as `read_film`."""
    return np.asarray(read_film(path, max_pixels)[0])


def read_film(
    path: Path,
    max_pixels: int = MAX_PIXELS,
    scale: Callable[[int, int], float] | None = None,
) -> tuple[Image.Image, tuple[int, int]]:
    """Read a JPEG, PNG or DICOM file upright (EXIF orientation applied) as 8-bit grey.

    16-bit grey is scaled by the bits that its values occupy (8, 10, 12, 14 or 16), so that a 12-bit
    film is not almost black. Colour becomes luma (ITU-R 601); transparency shows black.

    Args:
        path: the file.
        max_pixels: limit, checked before decoding.
        scale: (width, height) of the upright film -> the scale at which it is wanted. A JPEG is
            then decoded at 1/2, 1/4 or 1/8 of its size where that leaves OVERSAMPLING times the
            wanted one. None: the film as it is.

    Returns:
        The image, of mode "L", and (width, height) of the whole film, upright.

    Raises:
        UserError: not a JPEG, PNG or DICOM image, damaged, truncated, or over `max_pixels`; names
            the file.
    """
    with open(path, "rb") as f:
        head = f.read(OFFSET + len(DICOM))
        if is_dicom(head):
            film = read_dicom(path, lambda size: _check_size(path, size, max_pixels))
            return film, film.size
        kind = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
        if kind is None:
            what = "an empty file" if not head else "not a JPEG or PNG image, nor DICOM"
            raise UserError(f"{path}: {what}; fetch the file again")
        f.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(f, formats=(kind,)) as image:
                    _check_size(path, image.size, max_pixels)
                    width, height = _upright_size(image)
                    if scale is not None:
                        _decode_smaller(image, scale(width, height))
                    ImageOps.exif_transpose(image, in_place=True)
                    image.load()
                    return _grey(image), (width, height)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise UserError(f"{path}: over the limit of {max_pixels:,} pixels") from None
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as e:
            raise UserError(f"{path}: damaged image ({e}); fetch the file again") from e


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) once the EXIF orientation is applied."""
    width, height = image.size
    return (height, width) if image.getexif().get(ORIENTATION, 1) >= 5 else (width, height)


def _decode_smaller(image: Image.Image, scale: float) -> None:
    """Have a JPEG decoded at the smallest size that is OVERSAMPLING times `scale`."""
    width, height = image.size
    for factor in SMALLER:
        if factor * scale * OVERSAMPLING <= 1 and min(image.size) >= factor:
            image.draft(image.mode, (width // factor, height // factor))
            return


def _check_size(path: Path, size: tuple[int, int], max_pixels: int) -> None:
    """Refuse sizes that no film has before any pixel is decoded."""
    width, height = size
    if min(size) < 1 or width * height > max_pixels:
        raise UserError(f"{path}: {width} x {height} pixels, over the limit of {max_pixels:,}")
    if max(size) > MAX_ASPECT * min(size):
        raise UserError(f"{path}: {width} x {height} pixels is no radiograph")


def _grey(image: Image.Image) -> Image.Image:
    """Convert any mode of JPEG and PNG to 8-bit grey."""
    if image.mode == "L" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return Image.fromarray(_scale_deep(np.asarray(image)))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    if image.mode not in ("1", "RGB"):
        image = image.convert("RGB")
    return image.convert("L")


def _scale_deep(values: np.ndarray) -> np.ndarray:
    """Scale 16-bit values to 8 bits by the smallest usual bit depth that holds their maximum."""
    top = int(values.max())
    depth = next((bits for bits in DEPTHS if top < 1 << bits), DEPTHS[-1])
    scaled = values.astype(np.float64) * (255.0 / ((1 << depth) - 1))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def encode_jpeg(image: Image.Image, quality: int = 75) -> bytes:
    """Encode a grey image as JPEG; 75 is the quality of the published files."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


def decode(data: bytes) -> np.ndarray:
    """Decode JPEG or PNG bytes of a prepared set, written by us, to uint8 [height, width(, 3)]."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)
