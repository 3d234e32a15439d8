"""Options that every source of films has, and what they give."""

import argparse
import re
from pathlib import Path
from typing import Any

from medjax.data.arguments import whole_number
from medjax.data.film_sizes import FilmSize
from medjax.data.xray.encode import DECODING, Encoding
from medjax.data.xray.store import image_names
from medjax.errors import UserError

MIN_PIXELS = 16
ENGINES = ("local", "beam")


def add_image_options(parser: argparse.ArgumentParser, quality: int) -> None:
    """Add the options of films; `quality` is the default one."""
    parser.add_argument("--images", type=Path, help="folder that image paths start from (--raw)")
    parser.add_argument(
        "--sizes",
        type=_sizes,
        default="width512",
        help="stored sizes, as width512,long256; also short256, square224 (see film_sizes.py)",
    )
    parser.add_argument(
        "--quality", type=whole_number(1, 100), default=quality, help="JPEG quality of stored films"
    )
    parser.add_argument(
        "--decoding",
        choices=DECODING,
        help="decode large JPEG films at a part of their size, or exactly as published (scaled, "
        "with --compat=published exact)",
    )
    parser.add_argument(
        "--equalize", action="store_true", help="flatten the histogram of each film before resizing"
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
    parser.add_argument(
        "--engine", choices=ENGINES, default="local", help="who encodes: this machine, or a cluster"
    )
    parser.add_argument(
        "--beam_options", default="", help="options of Beam's runner, as '--runner=FlinkRunner ...'"
    )


def _sizes(text: str) -> str:
    """An argparse type: names of sizes, written out and without repetition."""
    try:
        sizes = [FilmSize.parse(name.strip()) for name in text.split(",")]
    except ValueError as e:
        raise argparse.ArgumentTypeError(
            f"expects sizes as width512, long256, short256 or square224, not {str(e)!r}"
        ) from None
    if len(set(sizes)) < len(sizes) or min(size.pixels for size in sizes) < MIN_PIXELS:
        raise argparse.ArgumentTypeError(
            f"expects different sizes of at least {MIN_PIXELS} pixels, not {text!r}"
        )
    return ",".join(map(str, sizes))


def encoding_of(args: argparse.Namespace) -> Encoding:
    """How the films are to be stored."""
    published = getattr(args, "compat", "") == "published"
    return Encoding(
        sizes=tuple(FilmSize.parse(name) for name in args.sizes.split(",")),
        quality=args.quality,
        decoding=args.decoding or ("exact" if published else "scaled"),
        equalize=args.equalize,
    )


def describe_encoding(encoding: Encoding) -> dict[str, Any]:
    """The manifest's entry of how films are stored: features, quality, decoding."""
    names = image_names(encoding.sizes)
    return {
        "images": {name: str(size) for name, size in zip(names, encoding.sizes)},
        "quality": encoding.quality,
        "decoding": encoding.decoding,
        "equalize": encoding.equalize,
    }


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
