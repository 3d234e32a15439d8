"""Reading a radiograph in DICOM form, with the optional package pydicom."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from medjax.errors import UserError

MAGIC, OFFSET = b"DICM", 128


def is_dicom(head: bytes) -> bool:
    """Whether the first 132 bytes of a file are those of DICOM."""
    return head[OFFSET : OFFSET + len(MAGIC)] == MAGIC


def read_dicom(path: Path, check_size: Callable[[tuple[int, int]], None]) -> Image.Image:
    """Read a film as 8-bit grey, white where dense whatever the file's convention.

    8 bits are taken as they are; deeper values are scaled from the darkest to the brightest.

    Args:
        path: the file.
        check_size: called with (width, height) before pixels are decoded; raises for a wrong one.

    Raises:
        UserError: pydicom is not installed, the file is damaged, or is no single grey image.
    """
    try:
        import pydicom
    except ImportError:
        raise UserError(
            f"{path}: reading DICOM needs pydicom: pip install 'medjax[dicom]'"
        ) from None
    try:
        with open(path, "rb") as f:
            film = pydicom.dcmread(io.BytesIO(f.read()))
        check_size((int(film.Columns), int(film.Rows)))
        if int(film.get("SamplesPerPixel", 1)) != 1 or int(film.get("NumberOfFrames", 1) or 1) != 1:
            raise UserError(f"{path}: not a single grey image")
        pixels = film.pixel_array
        inverted = film.PhotometricInterpretation == "MONOCHROME1"
    except UserError:
        raise
    except Exception as e:  # pydicom raises whatever its decoders do
        raise UserError(f"{path}: damaged DICOM file ({e}); fetch the file again") from e
    grey = pixels if pixels.dtype == np.uint8 else _scaled(pixels)
    return Image.fromarray(255 - grey if inverted else grey)


def scale_by_maximum(pixels: np.ndarray) -> np.ndarray:
    """Scale grey values of any depth so that the brightest becomes 255, as MGCA and MedST do."""
    scale = 255 / max(float(pixels.max()), 1.0)
    return np.clip(np.rint(pixels * scale), 0, 255).astype(np.uint8)


def _scaled(pixels: np.ndarray) -> np.ndarray:
    low, high = float(pixels.min()), float(pixels.max())
    scale = 255 / (high - low) if high > low else 0.0
    return np.rint((pixels - low) * scale).astype(np.uint8)
