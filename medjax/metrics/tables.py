"""Tables as papers print them: metrics with intervals by label, by subset, by model.

A `Table` is written as CSV, every number in full and a column for each bound, and as Markdown,
rounded for people.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medjax.metrics.metric import Metric, interval_text
from medjax.metrics.panels import shown
from medjax.metrics.subsets import subsets_of

Cell = str | int | float | Metric | None

HEADS = {"auroc": "AUROC", "auprc": "AUPRC"}
"""The metrics of these tables, and how their columns are headed."""


class Table(NamedTuple):
    """Rows of cells under heads; a column that holds a Metric holds nothing else."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def to_csv(table: Table) -> str:
    """Return the table as CSV; a metric fills `<column>`, `<column> low`, `<column> high`.

    Undefined values and bounds are empty.
    """
    metric = [any(isinstance(row[i], Metric) for row in table.rows) for i in range(len(table[1]))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads: list[str] = []
    for column, expanded in zip(table.columns, metric, strict=True):
        heads += [column, f"{column} low", f"{column} high"] if expanded else [column]
    writer.writerow(heads)
    for row in table.rows:
        cells: list[Cell] = []
        for cell, expanded in zip(row, metric, strict=True):
            value = cell if isinstance(cell, Metric) else Metric(None)
            cells += [value.value, value.low, value.high] if expanded else [cell]
        writer.writerow("" if cell is None else cell for cell in cells)
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """Return the table as Markdown, its title above; numbers have three decimals."""
    rows = [[_written(cell) for cell in row] for row in table.rows]
    # A rule of two characters is the shortest that is one.
    widths = [max(2, *map(len, column)) for column in zip(table.columns, *rows, strict=True)]
    right = [all(_is_number(row[i]) for row in table.rows) for i in range(len(widths))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, right, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (w - 1) + (":" if number else "-") for w, number in zip(widths, right)]
    return "\n".join([table.title, "", line(table.columns), line(rule), *map(line, rows)]) + "\n"


def _is_number(cell: Cell) -> bool:
    return not isinstance(cell, str)


def _written(cell: Cell) -> str:
    if isinstance(cell, Metric):
        if cell.value is None:
            return "undefined"
        if cell.low is None or cell.high is None:
            return f"{cell.value:.3f}"
        return f"{cell.value:.3f} ({interval_text(cell.low, cell.high)})"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    if isinstance(cell, int):
        return f"{cell:,}"
    return (cell or "").replace("|", "\\|")


def result_tables(
    metrics: Mapping[str, Metric],
    names: Sequence[str],
    title: str,
    groups: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, Table]:
    """Return the tables of a split by file stem, as far as there is something to tell apart.

    `labels` has a row a label and mean (where there are several), `age` one an age group, each with
    AUROC and AUPRC. Where the split was scored on sets (`set=paired`), they are made for each:
    `labels-paired`, `age-paired`; the sets themselves stand side by side in `model_table`.

    Args:
        metrics: as named by `classification_metrics` and `subset_metrics`.
        names: of the labels.
        title: what was predicted, for whom.
        groups: labels of each group, as given to `classification_metrics`.
    """
    tables: dict[str, Table] = {}
    subsets = subsets_of(metrics)
    sets = [subset for subset in subsets if is_set(subset)]
    for parent in ["", *sets]:
        suffix, place = (f"-{shown(parent)}", f", {shown(parent)}") if parent else ("", "")
        if len(names) > 1 and (parent or not sets):
            table = _label_table(metrics, names, parent, title + place, groups or {})
            tables[f"labels{suffix}"] = table
        children: dict[str, list[str]] = {}
        for subset in subsets:
            above, _, last = subset.rpartition("/")
            if subset and above == parent and not is_set(subset):
                children.setdefault(last.partition("=")[0], []).append(subset)
        for key, members in children.items():
            tables[f"{key}{suffix}"] = _subset_table(metrics, key, members, title + place)
    return tables


def is_set(subset: str) -> bool:
    """Tell whether a subset is one of the sets on which models are compared."""
    return subset.startswith("set=") and "/" not in subset


def _named(metric: str, subset: str, label: str) -> str:
    return "/".join(part for part in (metric, subset, label) if part)


def _label_table(
    metrics: Mapping[str, Metric],
    names: Sequence[str],
    subset: str,
    title: str,
    groups: Mapping[str, Sequence[int]],
) -> Table:
    """A row a label, then the means of its groups and of all."""

    def values(name: str) -> list[Metric]:
        return [metrics[_named(metric, subset, name)] for metric in HEADS]

    group_of = {i: shown(group) for group, members in groups.items() for i in members}
    rows: list[tuple[Cell, ...]] = []
    for i, name in enumerate(names):
        auroc, auprc = values(name)
        share = (auroc.positives or 0) / auroc.n if auroc.n else None
        counts = (auroc.positives, auroc.n, share)
        rows.append((shown(name), group_of.get(i, ""), *counts, auroc, auprc))
    for mean in [*groups, "macro"]:
        of = "all" if mean == "macro" else shown(mean)
        auroc, auprc = values(mean)
        rows.append((f"mean of {of}", "", None, auroc.n, None, auroc, auprc))
    what = next((group.partition("=")[0].capitalize() for group in groups), "Group")
    columns = ("Label", what, "Positive", "n", "Prevalence", *HEADS.values())
    return _without_empty(Table(title, columns, tuple(rows)))


def _subset_table(
    metrics: Mapping[str, Metric], key: str, subsets: Sequence[str], title: str
) -> Table:
    """A row a subset: the mean over its labels."""
    rows: list[tuple[Cell, ...]] = []
    for subset in subsets:
        values = [metrics[_named(metric, subset, "macro")] for metric in HEADS]
        which = subset.rpartition("/")[2].partition("=")[2]
        rows.append((which, values[0].positives, values[0].n, *values))
    columns = (key.capitalize(), "Positive", "n", *HEADS.values())
    return _without_empty(Table(title, columns, tuple(rows)))


def _without_empty(table: Table) -> Table:
    """Leave out the columns in which nothing stands."""
    kept = [
        i for i in range(len(table.columns)) if any(row[i] not in (None, "") for row in table.rows)
    ]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return Table(table.title, tuple(table.columns[i] for i in kept), rows)


def model_table(models: Mapping[str, Mapping[str, Metric]], title: str) -> Table:
    """Return the table that compares models: a row each, columns by the sets they were scored on.

    models: {name: metrics of one split}. A model that was not scored on a set has empty cells.
    """
    known = dict.fromkeys(s for metrics in models.values() for s in subsets_of(metrics))
    sets = sorted(filter(is_set, known)) or [""]
    columns = ["Model"]
    for subset in sets:
        prefix = f"{shown(subset)} " if subset else ""
        columns += [f"{prefix}{head}" for head in HEADS.values()] + [f"{prefix}n"]
    rows: list[tuple[Cell, ...]] = []
    for name, metrics in models.items():
        row: list[Cell] = [name]
        for subset in sets:
            values = [metrics.get(_named(metric, subset, "macro")) for metric in HEADS]
            row += [*values, values[0].n if values[0] else None]
        rows.append(tuple(row))
    return Table(title, tuple(columns), tuple(rows))
