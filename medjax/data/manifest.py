"""The manifest of a prepared folder: where its sets come from and what every rule let through."""

import argparse
import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import medjax
from medjax import files
from medjax.errors import UserError

MANIFEST = "manifest.json"
PACKAGES = ("numpy", "pandas", "pyarrow", "pillow", "array_record", "tensorflow-datasets")
NO_EFFECT = (
    *("source", "out", "workers", "dry_run", "overwrite", "engine", "beam_options"),
    *("write_benchmark", "write_table", "write_pickle"),
)
"""Options that change no record, and so do not stand in the manifest."""


def prepare_line(root: Path) -> str:
    """The command that makes a prepared folder, for error messages."""
    return f"python -m medjax.prepare SOURCE --raw=DIR --out={root}"


def file_digest(path: Path) -> dict[str, Any]:
    """Return {"sha256", "bytes"} of an input file, for the manifest's `inputs`."""
    with open(path, "rb") as f:
        sha = hashlib.file_digest(f, "sha256").hexdigest()
        return {"sha256": sha, "bytes": f.tell()}


def describe_run(args: argparse.Namespace, inputs: Mapping[str, Path]) -> dict[str, Any]:
    """The part of a manifest that every source has: source, versions, options, input digests.

    `inputs` maps the names of the tables that were read to their paths.
    """
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "source": args.source,
        "medjax_version": medjax.__version__,
        "versions": {"python": platform.python_version(), **versions},
        **describe_options(args),
        "inputs": {name: file_digest(path) for name, path in sorted(inputs.items())},
    }


def describe_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the `options` of a manifest, and `paths`: the digests of those that are paths.

    A manifest names no place of a disk; the digest of a resolved path suffices to tell another.
    """
    given = {name: value for name, value in vars(args).items() if name not in NO_EFFECT}
    paths = {name: value for name, value in given.items() if isinstance(value, Path)}
    options = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in sorted(given.items())
        if name not in paths
    }
    digests = {
        name: hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
        for name, path in sorted(paths.items())
    }
    return {"options": options, "paths": digests}


def other_options(manifest: Mapping[str, Any], args: argparse.Namespace) -> list[str]:
    """Return what a finished preparation was given otherwise, as "--limit=4 (now none)".

    Compared are the options that both know; a manifest of an earlier version may lack some.
    """
    described = describe_options(args)
    old = manifest.get("options", {}) | manifest.get("paths", {})
    new = described["options"] | described["paths"]
    differing = []
    for name in sorted(old.keys() & new.keys()):
        if old[name] == new[name]:
            continue
        if name in manifest.get("paths", {}) or name in described["paths"]:
            differing.append(f"another --{name}")
            continue
        before, now = ("none" if v in (None, "") else v for v in (old[name], new[name]))
        differing.append(f"--{name}={before} (now {now})")
    return differing


def describe_set(summary: Any, labels: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """The manifest's entry of a written set (a `prepared.SetSummary`)."""
    entry = {"version": summary.version, "splits": summary.sizes, "digest": summary.digest}
    return {**entry, "labels": list(labels), **more}


def write_manifest(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write `<out>/manifest.json`, indented with sorted keys; call it after the last set.

    Sets of an earlier preparation that the manifest does not list are removed, so that no folder
    holds a mixture of two.
    """
    listed = {(name, entry["version"]) for name, entry in manifest.get("sets", {}).items()}
    for info in sorted(out.glob("*/*.*.*/dataset_info.json")):
        if (info.parent.parent.name, info.parent.name) not in listed:
            shutil.rmtree(info.parent)
            with contextlib.suppress(OSError):
                info.parent.parent.rmdir()
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
