"""Tables on disk: those of a stage, and the one that compares the models of finished runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medjax.errors import UsageError, UserError, nearest
from medjax.files import write_text
from medjax.metrics.metric import Metric
from medjax.metrics.tables import Table, model_table, to_csv, to_markdown
from medjax.run.workdir import CONFIG, read_config, read_results

Entries = Mapping[str, Mapping[str, Any]]
"""{metric: {"value", ...}}: one split of results.json."""


class Model(NamedTuple):
    """What was scored: a row of the comparison."""

    name: str
    entries: Entries
    note: str = ""
    """Which stage of a run was taken, where the user did not say."""


def write_table(table: Table, folder: Path, stem: str) -> None:
    """Write `<stem>.csv` and `<stem>.md`."""
    write_text(folder / f"{stem}.csv", to_csv(table))
    write_text(folder / f"{stem}.md", to_markdown(table))


def write_comparisons(
    results: Mapping[str, Mapping[str, Entries]], stages: Sequence[str], folder: Path
) -> None:
    """Write `comparison-<split>` of a run: its last stage beside those with the same labels.

    stages: in the order of the run; one that has no results is left out. Where no model has a mean
    there is no table.
    """
    done = [stage for stage in stages if stage in results]
    for split, last in results[done[-1]].items() if done else ():
        models = [Model(stage, results[stage][split]) for stage in done if split in results[stage]]
        models = [model for model in models if labels_of(model.entries) == labels_of(last)]
        if labels_of(last):
            table = compare(models, split)
            if any(isinstance(cell, Metric) for row in table.rows for cell in row):
                write_table(table, folder, f"comparison-{split}")


def compare(models: Sequence[Model], split: str) -> Table:
    """Return the table of some models' mean AUROC and AUPRC, those of further heads below.

    Raises:
        UsageError: two models predict different labels.
    """
    first = labels_of(models[0].entries)
    rows: dict[str, dict[str, Metric]] = {}
    for model in models:
        labels = labels_of(model.entries)
        if labels != first:
            differing = sorted(set(labels) ^ set(first))
            raise UsageError(
                f"{models[0].name} and {model.name} predict different labels, among them "
                f"{differing[0]!r}: compare runs of one task"
            )
        if model.name in rows:
            raise UsageError(f"two models are called {model.name!r}; name them as NAME=RUN")
        for head in heads_of(model.entries):
            prefix = f"{head}." if head else ""
            rows[f"{model.name}, {head}" if head else model.name] = {
                name.removeprefix(prefix): metric_of(entry)
                for name, entry in model.entries.items()
                if name.startswith(prefix)
            }
    number = f"mean of {len(first)} labels" if len(first) > 1 else f"{first[0]}"
    return model_table(rows, f"{split.capitalize()} split, {number}{_intervals(models)}")


def _intervals(models: Sequence[Model]) -> str:
    """Return the end of a table's title: what the numbers and their intervals are of."""
    entries = [entry for model in models for entry in model.entries.values()]
    copies = sorted({entry["replicas"] for entry in entries if "replicas" in entry})
    means = f", means over {' or '.join(map(str, copies))} replicas" if copies else ""
    if not any(entry.get("low") is not None for entry in entries):
        return f"{means}, without intervals"
    return f"{means}, with 95 % intervals" + (" of these means" if copies else "")


def metric_of(entry: Mapping[str, Any]) -> Metric:
    """Return an entry of results.json as a Metric."""
    return Metric(**{field: entry.get(field) for field in Metric._fields})


def labels_of(entries: Entries) -> list[str]:
    """Return the labels that have an AUROC, sorted; [] where nothing was classified."""
    names = (name.removeprefix("auroc/") for name in entries if name.startswith("auroc/"))
    means = ("macro", "micro", "weighted")
    return sorted(name for name in names if name not in means and "=" not in name.split("/")[0])


def heads_of(entries: Entries) -> list[str]:
    """Return the further outputs that were scored, after the model's own, which is ""."""
    ending = ".auprc/macro"
    return ["", *sorted(name.removesuffix(ending) for name in entries if name.endswith(ending))]


def read_model(text: str, split: str) -> Model:
    """Resolve `[NAME=]RUN[/STAGE]`: the run's last stage where none is named.

    Raises:
        UserError: no such run, stage or split.
    """
    name, equals, place = text.partition("=")
    if not equals or Path(text).exists():
        name, place = "", text
    run, stage = Path(place), ""
    if not (run / CONFIG).is_file() and (run.parent / CONFIG).is_file():
        run, stage = run.parent, run.name
    stages = read_config(run).stages
    results = read_results(run)
    if stage and stage not in results:
        raise UserError(f"{run} has no stage {stage!r}{nearest(stage, results)}")
    splits = results[stage or stages[-1]]
    if split not in splits:
        raise UserError(f"{place} was not scored on the split {split!r}, only {', '.join(splits)}")
    others = ", ".join(other for other in stages[:-1] if other in results)
    note = f"{run}: its stage {stages[-1]}; give {run}/STAGE for {others}" if others else ""
    called = name or (f"{run.name}/{stage}" if stage else run.name)
    return Model(called, splits[split], "" if stage else note)
