"""One film read, brought to the stored sizes and encoded."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from medjax.data.equalize import equalize_histogram
from medjax.data.film_sizes import FilmSize
from medjax.data.images import encode_jpeg, read_film
from medjax.data.paths import resolve_under
from medjax.errors import UserError

DECODING = ("scaled", "exact")


class Encoding(NamedTuple):
    """How films are stored."""

    sizes: tuple[FilmSize, ...] = (FilmSize(),)
    """Larger films are brought to each of these; no two are the same."""
    quality: int = 75
    """JPEG quality."""
    decoding: str = "scaled"
    """scaled: JPEG films far larger than stored are decoded at 1/2, 1/4 or 1/8 of their size, which
    moves a stored grey level by 0.4 on average; exact: always whole, as published."""
    equalize: bool = False
    """The histogram of the whole film is flattened first, as MedKLIP does with RSNA's."""

    def scale(self, width: int, height: int) -> float:
        """Return the scale at which a film is wanted for the most demanding size."""
        targets = [size.target(width, height) for size in self.sizes]
        return max(max(w / width, h / height) for w, h in targets)


class Job(NamedTuple):
    """A film to encode."""

    path: str
    """Relative to the root of the images."""
    sha256: str = ""
    """Expected digest of the file, hexadecimal; "" for none."""


class Encoded(NamedTuple):
    """A film as JPEG bytes, one for each stored size, or the reason why it cannot be read."""

    images: tuple[bytes, ...]
    error: str = ""


def encode_film(root: Path, encoding: Encoding, job: Job) -> Encoded:
    """Read a film under `root` and encode it at every size; never raises for a bad file.

    A film with another digest than the expected one counts as bad.
    """
    try:
        path = resolve_under(root, job.path)
        if job.sha256:
            _check_digest(path, job.sha256)
        whole = encoding.decoding == "exact" or encoding.equalize
        film, size = read_film(path, scale=None if whole else encoding.scale)
        if encoding.equalize:
            film = Image.fromarray(equalize_histogram(np.asarray(film)))
    except (UserError, OSError) as e:
        return Encoded((), str(e))
    stored = (wanted.shrink(film, size) for wanted in encoding.sizes)
    return Encoded(tuple(encode_jpeg(image, encoding.quality) for image in stored))


def _check_digest(path: Path, sha256: str) -> None:
    with open(path, "rb") as f:
        if hashlib.file_digest(f, "sha256").hexdigest() != sha256:
            raise UserError(f"{path}: differs from its listed digest; fetch the file again")
