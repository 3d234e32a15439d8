"""What a stage fits on frozen outputs: stored beside the weights and given back with them."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from medjax.errors import UserError
from medjax.metrics.metric import Metric
from medjax.run import stages
from medjax.run.checkpoint import Checkpoints
from tests.run import toy


def build(config, stage, data, artefacts):
    """The toy system with a decision threshold: the median risk of the training examples."""
    system = toy.build(config, stage, data, artefacts)
    fitted = (artefacts or {}).get("fitted", {})

    def fit(outputs):
        assert set(outputs) == {"train"}
        return {"threshold": np.median(outputs["train"]["probability"])}

    def evaluate(split, outputs, final):
        metrics = system.evaluate(split, outputs, final)
        if final:
            above = outputs[split]["probability"] > fitted["threshold"]
            metrics["above"] = Metric(float(above.mean()))
        return metrics

    def table(split, positions, outputs):
        risk = outputs["probability"]
        return {"example": positions, "risk": risk, "above": risk > fitted["threshold"]}

    return system._replace(
        fit=fit,
        fit_splits=("train",),
        evaluate=evaluate,
        table=table,
        updates=() if config.frozen else system.updates,
    )


MODULE = SimpleNamespace(open_data=toy.open_data, build=build)


def options(frozen: bool = False, init_from: str = ""):
    """The toy config of one stage with one epoch."""
    config = toy.config()
    config.frozen = frozen
    config.only.train.epochs = 1
    config.only.init_from = init_from
    return config


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run that trained, then fitted."""
    workdir = tmp_path_factory.mktemp("trained")
    stages.run_stages(options(), workdir, "train", MODULE)
    return workdir


def threshold(workdir: Path) -> float:
    with np.load(workdir / "only" / "fitted.npz") as arrays:
        return float(arrays["threshold"])


def test_results_and_tables_use_what_was_fitted(trained):
    results = json.loads((trained / "results.json").read_text())
    table = pd.read_parquet(trained / "only" / "predictions-test.parquet")
    assert (table["above"] == (table["risk"] > threshold(trained))).all()
    assert results["only"]["test"]["above"]["value"] == table["above"].mean()
    assert table["above"].nunique() == 2


def test_evaluating_again_reads_it_and_gives_the_same_bytes(trained):
    files = [trained / "results.json", trained / "only" / "fitted.npz"]
    before = [path.read_bytes() for path in files]
    stages.run_stages(options(), trained, "evaluate", MODULE)
    assert [path.read_bytes() for path in files] == before


def test_predictions_elsewhere_use_it(trained, tmp_path):
    stages.run_stages(options(init_from=str(trained)), tmp_path, "predict", MODULE)
    name = "only/predictions-test.parquet"
    one, other = pd.read_parquet(trained / name), pd.read_parquet(tmp_path / name)
    pd.testing.assert_frame_equal(one, other)


def test_a_stage_may_fit_without_training(trained, tmp_path):
    first = stages.run_stages(options(True, str(trained)), tmp_path, "train", MODULE)
    assert threshold(tmp_path) == threshold(trained)
    assert Checkpoints(tmp_path / "only" / "checkpoints").steps() == [0]
    assert not (tmp_path / "only" / "metrics.jsonl").exists()
    again = stages.run_stages(options(True, str(trained)), tmp_path, "evaluate", MODULE)
    assert json.dumps(first) == json.dumps(again)


def test_weights_without_their_fit_and_damaged_fits_are_refused(trained, tmp_path):
    plain = toy.config()
    plain.only.train.epochs = 1
    stages.run_stages(plain, tmp_path / "plain", "train", toy)
    with pytest.raises(UserError, match="nothing fitted"):
        run = options(init_from=str(tmp_path / "plain"))
        stages.run_stages(run, tmp_path / "new", "predict", MODULE)
    (tmp_path / "plain" / "only" / "fitted.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match=r"fitted.npz is damaged"):
        stages.run_stages(run, tmp_path / "new", "predict", MODULE)
