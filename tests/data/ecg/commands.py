"""Preparing recordings as the command does, in this process."""

from pathlib import Path

from medjax.prepare import parse


def prepare(source: str, raw: Path, out: Path, *options: str) -> Path:
    """Prepare `raw` into `out` and return `out`; errors are raised."""
    module, args = parse([source, f"--raw={raw}", f"--out={out}", "--workers=1", *options])
    module.prepare(args)
    return out
