"""What the stages of a run say together: the optional `compare` of a system.

    compare(config, predictions) -> {name: Comparison}

`predictions(stage, split)` gives {replica: the predictions table}, as the stage wrote it. The
metrics stand in results.json under the comparison's name, the table in `tables/<name>.csv` and
`.md`, the figures in `plots/<name>.png`.

    summaries(config, results) -> {path in the workdir: text}

are files of another layout, made of the same numbers, where a system promises them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.files import write_text
from medjax.metrics.tables import to_markdown
from medjax.run.plots import save_figure
from medjax.run.replicas import Entry, copies_of
from medjax.run.report.comparison import write_table
from medjax.run.system import Comparison

Compare = Callable[..., Mapping[str, Comparison]]
Summaries = Callable[[ConfigDict, Mapping[str, Any]], Mapping[str, str]]


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
    summaries: Summaries = getattr(module, "summaries", lambda config, results: {})
    for path, text in summaries(config, results).items():
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
