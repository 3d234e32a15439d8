"""The summaries of the published code: C-indices of test folds by seed, as CSV.

    <stage>/<seed>/cval_<fold>/test_summary.csv         the test metrics of one fit
    <stage>/<seed>/c_index_mean_val.csv                 its C-index in each fold, their mean and std
    <stage>/mean_c_index_for_different_seeds.csv        these means by seed, and their average

All numbers are those of results.json; standard deviations are of the population. A C-index that is
undefined is empty and enters no mean.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from medjax.run.replicas import Replica, copies_of

Results = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]
"""{label: {split: {metric: entry}}}"""


def summaries(config: ConfigDict, results: Results, written: Any = None) -> dict[str, str]:
    """Return {path in the workdir: CSV text} of the stages of kind "risk" that were tested."""
    del written  # The results hold all that these files say.
    files: dict[str, str] = {}
    for stage in config.stages:
        copies = copies_of(config, stage)
        tested = [c for c in copies if "test" in results.get(c.label(stage), {})]
        if config[stage].kind == "risk" and tested:
            of_stage = _stage_files(stage, tested, results)
            files |= {f"{stage}/{path}": text for path, text in of_stage.items()}
    return files


def _stage_files(stage: str, copies: Sequence[Replica], results: Results) -> dict[str, str]:
    files: dict[str, str] = {}
    by_seed: dict[int, dict[int, float]] = {}
    for copy in copies:
        scores = results[copy.label(stage)]["test"]
        seed, fold = copy.config.seed, copy.config.fold
        row = {name: _number(entry) for name, entry in scores.items()}
        files[f"{seed}/cval_{fold}/test_summary.csv"] = _csv(pd.DataFrame([row]))
        by_seed.setdefault(seed, {})[fold] = _number(scores["c_index"])
    rows: list[dict[str, Any]] = []
    for seed, values in by_seed.items():
        mean, std = _moments(list(values.values()))
        table = {"fold": [*values, "mean", "std"], "c_index": [*values.values(), mean, std]}
        files[f"{seed}/c_index_mean_val.csv"] = _csv(pd.DataFrame(table))
        rows.append({"mean_c_index": mean, "std_c_index": std, "seed": str(seed)})
    averages = [
        _moments([row[name] for row in rows])[0] for name in ("mean_c_index", "std_c_index")
    ]
    rows.append(dict(zip(("mean_c_index", "std_c_index", "seed"), (*averages, "AVG"))))
    files["mean_c_index_for_different_seeds.csv"] = _csv(pd.DataFrame(rows))
    return files


def _number(entry: Mapping[str, Any]) -> float:
    return float("nan") if entry["value"] is None else float(entry["value"])


def _moments(values: Sequence[float]) -> tuple[float, float]:
    known = [value for value in values if not np.isnan(value)]
    return (float(np.mean(known)), float(np.std(known))) if known else (np.nan, np.nan)


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, lineterminator="\n")
