"""Tables for the screen: a model's parameters, and the results of a run."""

import io
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from medjax.metrics.metric import interval_text
from medjax.run.system import Update

WIDTH_OF_FILES = 160
"""Columns where the output is no terminal."""

MODULE_DEPTH = 2
SPLITS = ("train", "validation", "test")
"""In this order, whatever the order of the file they are read from."""


def parameter_table(params: Mapping[str, Any], updates: Sequence[Update]) -> str:
    """Return a table of the parameters by module (two levels deep) and by role, with totals.

    Args:
        params: nested dicts of arrays, as Flax makes them.
        updates: their `role` says which parameters are trained; one that any update trains is
            "train", otherwise "frozen" goes before "unused".
    """
    table = _table("module", "role", "arrays", "largest", "parameters", right=(2, 4))
    groups: dict[tuple[str, str], list[tuple[int, ...]]] = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(params):
        path = tuple(jax.tree_util.keystr((key,), simple=True) for key in keys)
        module = "/".join(path[:-1][:MODULE_DEPTH]) or path[-1]
        groups.setdefault((module, _role(path, updates)), []).append(np.shape(leaf))
    totals = {"total": 0}
    for (module, role), shapes in groups.items():
        count = sum(math.prod(shape) for shape in shapes)
        largest = max(shapes, key=math.prod)
        totals["total"] += count
        totals[role] = totals.get(role, 0) + count
        _row(table, module, role, len(shapes), " x ".join(map(str, largest)), f"{count:,}")
    table.add_section()
    for name in sorted(totals, key=lambda name: (name == "total", name)):
        _row(table, "" if name != "total" else "total", name, "", "", f"{totals[name]:,}")
    return _rendered(table)


def results_table(results: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]) -> str:
    """Return one table a stage: metrics down, splits across, with their intervals.

    Args:
        results: what results.json holds, {stage: {split: {metric: {"value", ...}}}}. An undefined
            metric shows its reason.
    """
    return "\n".join(_stage_table(stage, splits) for stage, splits in results.items())


def _stage_table(stage: str, splits: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    known = [split for split in SPLITS if split in splits]
    splits = {split: splits[split] for split in [*known, *sorted(set(splits) - set(known))]}
    heads = [head for split in splits for head in (split, "positives / n")]
    table = _table(stage, *heads, right=range(2, len(heads) + 1, 2))
    names = dict.fromkeys(name for metrics in splits.values() for name in metrics)
    for name in filter(_on_screen, names):
        cells: list[str] = []
        for metrics in splits.values():
            metric = metrics.get(name)
            cells += ["", ""] if metric is None else [_value(metric), _counts(metric)]
        _row(table, name, *cells)
    unseen = len([name for name in names if not _on_screen(name)])
    note = f"\n  {unseen} more metrics, of subsets, in results.json" if unseen else ""
    return _rendered(table) + note


def _on_screen(name: str) -> bool:
    """Tell whether a metric is shown: of a subset (`set=paired`) the mean over labels alone."""
    parts = name.split("/")
    subsets = [part for part in parts[1:-1] if "=" in part]
    return not subsets or (len(subsets) == 1 and parts[-1] == "macro")


def _value(metric: Mapping[str, Any]) -> str:
    if metric["value"] is None:
        return f"undefined: {metric.get('reason', 'no reason given')}"
    low, high = metric.get("low"), metric.get("high")
    interval = "" if low is None or high is None else f" ({interval_text(low, high)})"
    return f"{metric['value']:.3f}{interval}"


def _counts(metric: Mapping[str, Any]) -> str:
    n, positives = metric.get("n"), metric.get("positives")
    if n is None:
        return ""
    return f"{n:,}" if positives is None else f"{positives:,} / {n:,}"


def _role(path: tuple[str, ...], updates: Sequence[Update]) -> str:
    roles = {update.role(path) for update in updates}
    return next((role for role in ("train", "frozen", "unused") if role in roles), "frozen")


def _table(*heads: str, right: Sequence[int] = ()) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for i, head in enumerate(heads):
        table.add_column(Text(head), justify="right" if i in right else "left")
    return table


def _row(table: Table, *cells: object) -> None:
    table.add_row(*(Text(str(cell)) for cell in cells))  # Text: a "[" in a name is no markup


def _rendered(table: Table) -> str:
    """Return the table as text without colours, in characters that stdout can show."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH_OF_FILES
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    encoding = sys.stdout.encoding or "utf-8"
    return "\n".join(lines).strip("\n").encode(encoding, "replace").decode(encoding)
