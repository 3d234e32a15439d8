"""The manifest of a prepared folder: where its sets come from and what every rule let through."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from medjax import files
from medjax.errors import UserError

MANIFEST = "manifest.json"


def prepare_line(root: Path) -> str:
    """The command that makes a prepared folder, for error messages."""
    return f"python -m medjax.prepare SOURCE --raw=DIR --out={root}"


def file_digest(path: Path) -> dict[str, Any]:
    """Return {"sha256", "bytes"} of an input file, for the manifest's `inputs`."""
    with open(path, "rb") as f:
        sha = hashlib.file_digest(f, "sha256").hexdigest()
        return {"sha256": sha, "bytes": f.tell()}


def write_manifest(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write `<out>/manifest.json`, indented with sorted keys; call it after the last set."""
    files.write_json(out / MANIFEST, manifest)


def read_manifest(root: Path) -> dict[str, Any]:
    """Read the manifest of a prepared folder.

    Raises:
        UserError: when there is none (nothing prepared, or a preparation that was stopped).
    """
    try:
        return json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{root}: no {MANIFEST}, so this is not a finished prepared folder; "
            f"run `{prepare_line(root)}`"
        ) from None
    except (OSError, ValueError) as e:
        raise UserError(
            f"{root / MANIFEST}: unreadable ({e}); run `{prepare_line(root)}` again"
        ) from e


def print_manifest(manifest: Mapping[str, Any]) -> None:
    """Print what each rule let in and out and why, then the sizes of the sets."""
    console = Console()
    rules = Table(title=f"{manifest.get('source', 'prepared')}: what went in and out")
    rules.add_column("rule")
    rules.add_column("in", justify="right")
    rules.add_column("out", justify="right")
    rules.add_column("reason")
    for count in manifest.get("counts", []):
        rules.add_row(count["rule"], f"{count['in']:,}", f"{count['out']:,}", count["reason"])
    console.print(rules)
    sets = manifest.get("sets", {})
    splits = [
        split
        for split in ("train", "validation", "test", "all")
        if any(split in s["splits"] for s in sets.values())
    ]
    sizes = Table(title=f"prepared sets (split by: {manifest.get('split_rule', 'not stated')})")
    sizes.add_column("set")
    for title in (*splits, "labels"):
        sizes.add_column(title, justify="right")
    for name, entry in sorted(sets.items()):
        counts = [f"{entry['splits'].get(split, 0):,}" for split in splits]
        sizes.add_row(name, *counts, str(len(entry.get("labels", []))))
    console.print(sizes)
