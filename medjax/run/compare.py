"""What the stages of a run say together: the optional `compare` of a system.

    compare(config, predictions) -> {name: Comparison}

`predictions(stage, split)` gives {replica: the predictions table}, as the stage wrote it. The
metrics stand in results.json under the comparison's name, the table in `tables/<name>.csv` and
`.md`, the figures in `plots/<name>.png`.

    summaries(config, results, written) -> {path in the workdir: text}

are files of another layout, made of the same numbers, where a system promises them; `written` reads
what the stages wrote beside results.json.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pandas as pd
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.files import write_text
from medjax.metrics.tables import to_markdown
from medjax.run.plots import save_figure
from medjax.run.replicas import Entry, copies_of
from medjax.run.report.comparison import write_table
from medjax.run.report.metrics_log import read_rows
from medjax.run.system import Comparison

Compare = Callable[..., Mapping[str, Comparison]]


class Written(NamedTuple):
    """Readers of what the stages of a run wrote; {replica: ...}, the run alone being ""."""

    predictions: Callable[[str, str], Mapping[str, pd.DataFrame]]
    """(stage, split) -> the predictions tables."""
    log: Callable[[str], Mapping[str, list[dict[str, Any]]]]
    """stage -> the rows of metrics.jsonl."""


Summaries = Callable[[ConfigDict, Mapping[str, Any], Written], Mapping[str, str]]


def compare_stages(
    module: ModuleType,
    config: ConfigDict,
    workdir: Path,
    say: Callable[[str], None],
) -> dict[str, dict[str, dict[str, Entry]]]:
    """Let the system compare its stages; write and print what it says, return its metrics as JSON.

    {} where the system or the config asks for no comparison.
    """
    compare: Compare | None = getattr(module, "compare", None)
    if compare is None:
        return {}
    compared = compare(config, prediction_reader(config, workdir))
    for name, comparison in compared.items():
        write_table(comparison.table, workdir / "tables", name)
        save_figure(comparison.figure, workdir / "plots" / f"{name}.png")
        say(to_markdown(comparison.table))
    return {
        name: {
            split: {metric: value.to_json() for metric, value in sorted(metrics.items())}
            for split, metrics in comparison.metrics.items()
        }
        for name, comparison in compared.items()
    }


def write_summaries(
    module: ModuleType, config: ConfigDict, results: Mapping[str, Any], workdir: Path
) -> None:
    """Write the files that the system makes of the results of a whole run, if it makes any."""
    summaries: Summaries = getattr(module, "summaries", lambda config, results, written: {})
    written = Written(prediction_reader(config, workdir), log_reader(config, workdir))
    for path, text in summaries(config, results, written).items():
        write_text(workdir / path, text)


def prediction_reader(
    config: ConfigDict, workdir: Path
) -> Callable[[str, str], dict[str, pd.DataFrame]]:
    """Return the function that reads what a run's stages predicted."""

    def read(stage: str, split: str) -> dict[str, pd.DataFrame]:
        tables: dict[str, Any] = {}
        for copy in copies_of(config, stage):
            path = workdir / copy.label(stage) / f"predictions-{split}.parquet"
            if not path.is_file():
                raise UserError(
                    f"{path} is missing: a comparison reads what its stages predicted; let "
                    f"{stage}.train.final_splits name {split}, and run the stage"
                )
            tables[copy.name] = pd.read_parquet(path)
        return tables

    return read


def log_reader(
    config: ConfigDict, workdir: Path
) -> Callable[[str], dict[str, list[dict[str, Any]]]]:
    """Return the function that reads what a run's stages logged; [] where nothing was trained."""

    def read(stage: str) -> dict[str, list[dict[str, Any]]]:
        copies = copies_of(config, stage)
        return {c.name: read_rows(workdir / c.label(stage) / "metrics.jsonl") for c in copies}

    return read
