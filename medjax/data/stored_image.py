"""Images inside prepared sets: grey JPEG or PNG bytes that we wrote ourselves."""

import io

import numpy as np
from PIL import Image


def decode_stored(data: bytes) -> np.ndarray:
    """Decode JPEG or PNG bytes of a prepared set to uint8 [height, width] or [..., channels]."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def encode_jpeg(pixels: np.ndarray, quality: int = 75) -> io.BytesIO:
    """Encode uint8 [height, width] as JPEG, by default at the quality of the published files."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality)
    data.seek(0)
    return data
