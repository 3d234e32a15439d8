"""Sealed folders: a file `digests.json`, written last, by which a reader knows every byte is right.

Orbax restores a file with a flipped bit without an error, so a checkpoint is trusted only when
the SHA-256 of each of its files is the one that was noted when it was written.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medjax import __version__
from medjax.errors import UserError
from medjax.files import write_text

FORMAT = 1
"""Version of the layout of a checkpoint folder; raised whenever older readers would go wrong."""

SEAL = "digests.json"


class DamagedError(Exception):
    """The folder is not what was sealed; the text says in which file and how."""


def seal(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `folder`/digests.json: `content` (JSON values) and the SHA-256 of every file below.

    The seal carries a digest of itself, so that a change of its own bytes shows as well.
    """
    body = {
        "format": FORMAT,
        "medjax": __version__,
        "content": dict(content),
        "files": {str(p.relative_to(folder)): _sha256(p) for p in _files(folder)},
    }
    write_text(folder / SEAL, _sealed_text(json.loads(_text(body))))


def read_seal(folder: Path) -> dict[str, Any]:
    """Return {"content", "files", ...} of `folder`/digests.json, which is itself whole.

    Raises DamagedError when it is absent or changed, UserError when another version of medjax
    with another layout wrote it.
    """
    try:
        text = (folder / SEAL).read_text(encoding="utf-8")
        body = json.loads(text)
        body.pop("sha256")
        whole = text == _sealed_text(body)
    except FileNotFoundError:
        raise DamagedError(f"{SEAL} is missing") from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise DamagedError(f"{SEAL} has changed")
    if body["format"] != FORMAT:
        raise UserError(
            f"checkpoint {folder} has format {body['format']} of medjax {body['medjax']}, but this "
            f"is medjax {__version__} with format {FORMAT}: use the version that wrote it, or "
            "another workdir"
        )
    return body


def check(folder: Path) -> dict[str, Any]:
    """Return `read_seal(folder)` when every sealed file is there with its digest.

    Raises DamagedError naming the first file that is missing or changed.
    """
    body = read_seal(folder)
    for name, digest in body["files"].items():
        try:
            found = _sha256(folder / name)
        except FileNotFoundError:
            raise DamagedError(f"{name} is missing") from None
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror})") from None
        if found != digest:
            raise DamagedError(f"{name} has changed")
    return body


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / SEAL)


def _sha256(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=1, sort_keys=True, default=_plain) + "\n"


def _sealed_text(body: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(_text(body).encode()).hexdigest()
    return _text({**body, "sha256": digest})


def _plain(value: Any) -> Any:
    """A numpy or jax scalar as the Python number that JSON knows."""
    if getattr(value, "shape", None) == ():
        return value.item()
    raise TypeError(f"{type(value).__name__} is not a JSON value")
