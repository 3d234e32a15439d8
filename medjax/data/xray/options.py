"""Options that every source of films has, and what they give."""

import argparse
import re
from pathlib import Path

from medjax.data.arguments import whole_number
from medjax.data.xray.encode import Encoding
from medjax.errors import UserError

MAX_WIDTH = 8192


def add_image_options(parser: argparse.ArgumentParser, quality: int) -> None:
    """Add --images, --width, --quality, --max_bad_images and --sha256."""
    parser.add_argument("--images", type=Path, help="folder that image paths start from (--raw)")
    parser.add_argument(
        "--width",
        type=whole_number(16, MAX_WIDTH),
        default=512,
        help="wider films are resized to this",
    )
    parser.add_argument(
        "--quality", type=whole_number(1, 100), default=quality, help="JPEG quality of stored films"
    )
    parser.add_argument(
        "--max_bad_images",
        type=whole_number(0, 10**9),
        default=0,
        help="unreadable images left out before an error",
    )
    parser.add_argument(
        "--sha256", type=Path, help="file of digests (SHA256SUMS.txt) to check the images against"
    )


def encoding_of(args: argparse.Namespace) -> Encoding:
    """How the films are to be stored."""
    return Encoding(args.width, args.quality)


def read_digests(path: Path | None) -> dict[str, str]:
    """Read the lines "<sha256>  <path>" of a digest file: path -> digest, {} for no file.

    Raises:
        UserError: no such file, or a line of another form.
    """
    if path is None:
        return {}
    digests = {}
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line)
            if match is None:
                raise UserError(f"{path}, line {number}: not `<sha256>  <path>`")
            digests[match[2].removeprefix("./")] = match[1].lower()
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path}: unreadable ({e})") from e
    return digests
