"""Replicas in one compiled step are what they are one after another, whatever stops them."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.run import stages
from medjax.run.checkpoint import Checkpoints
from medjax.run.replicas import replicas, trained_together
from medjax.run.report.metrics_log import read_rows
from medjax.run.signals import Interrupted
from tests.run import toy, toy_resident
from tests.run.processes import ToyProcess

pytestmark = pytest.mark.usefixtures("compiled_once")
NAMES = ("seed=3,fold=0", "seed=3,fold=1", "seed=5,fold=0", "seed=5,fold=1")


def config(run: str) -> ConfigDict:
    """Two seeds of two folds, which stop early at different epochs and halve their rates."""
    made = toy.config()
    made.fold = 0
    made.only.train.update({"epochs": 7, "patience": 2, "monitor": "loss", "monitor_mode": "min"})
    made.only.optimizer.learning_rate = 0.2
    made.replicas = ConfigDict({"seeds": (3, 5), "folds": 2, "run": run})
    return made


def build(config: ConfigDict, stage: str, data: dict, artefacts: object):
    """The toy with resident features, which in fold 1 are others, and fewer batches."""
    system = toy_resident.build(config, stage, data, artefacts)
    if config.fold == 0:
        return system
    return system._replace(
        plan=lambda split, epoch: system.plan(split, epoch)[: 3 if split == "train" else None],
        resident={name: array * 1.1 for name, array in system.resident.items()},
    )


FOLDS = SimpleNamespace(open_data=toy.open_data, build=build)


def with_collate(before: Callable[[], None]) -> SimpleNamespace:
    """The same, where `before` is called when a training batch is made."""

    def watched(*arguments):
        system = build(*arguments)

        def collate(split, epoch, plan, rows):
            if epoch >= 0:
                before()
            return system.collate(split, epoch, plan, rows)

        return system._replace(collate=collate)

    return SimpleNamespace(open_data=toy.open_data, build=watched)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """The same run both ways."""
    folders = {run: tmp_path_factory.mktemp(run) for run in ("loop", "vmap")}
    for run, folder in folders.items():
        stages.run_stages(config(run), folder, "train", FOLDS)
    return folders


def last_state(folder: Path) -> tuple[int, list[np.ndarray], dict]:
    """Return step, leaves and position of the last checkpoint."""
    restored = Checkpoints(folder / "checkpoints").restore(None, "last")
    assert restored is not None
    step, state, position = restored
    state["key"] = jax.random.key_data(state["key"])
    return step, [np.asarray(leaf) for leaf in jax.tree.leaves(state)], position


def listing(folder: Path) -> list[str]:
    """Return the files of a run, but for TensorBoard's, which are named by the time."""
    files = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file()]
    return sorted(str(p) for p in files if "tensorboard" not in p.parts and "arrays" not in p.parts)


def assert_close(one: object, other: object) -> None:
    """Two JSON values have the same structure and nearly the same numbers."""
    if isinstance(one, dict):
        assert isinstance(other, dict) and one.keys() == other.keys()
        for name in one:
            assert_close(one[name], other[name])
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=2e-3, abs=2e-5)
    else:
        assert one == other


def test_the_same_files_steps_and_numbers(runs):
    assert listing(runs["loop"]) == listing(runs["vmap"])
    results = [json.loads((runs[r] / "results.json").read_text()) for r in ("loop", "vmap")]
    assert_close(*results)
    lengths = set()
    for name in NAMES:
        places = [runs[run] / "only" / name for run in ("loop", "vmap")]
        rows = [read_rows(place / "metrics.jsonl") for place in places]
        assert_close(*({"rows": len(r), **{str(i): x for i, x in enumerate(r)}} for r in rows))
        states = [last_state(place) for place in places]
        assert states[0][0] == states[1][0]
        assert_close(states[0][2], states[1][2])
        for leaf, twin in zip(states[0][1], states[1][1], strict=True):
            np.testing.assert_allclose(leaf, twin, rtol=5e-3, atol=5e-4)
        assert len({Checkpoints(place / "checkpoints").best_step() for place in places}) == 1
        lengths.add(states[0][0])
        assert states[0][2]["plateau"]["scale"] < 1, "the case lets the plateau act"
    assert len(lengths) > 2, "the case lets replicas stop at different steps"


def assert_same_bytes(one: Path, other: Path) -> None:
    """Results, logs and last states are equal to the last bit."""
    assert (one / "results.json").read_bytes() == (other / "results.json").read_bytes()
    for name in NAMES:
        log = Path("only") / name / "metrics.jsonl"
        assert (one / log).read_bytes() == (other / log).read_bytes()
        states = [last_state(run / "only" / name) for run in (one, other)]
        for leaf, twin in zip(states[0][1], states[1][1], strict=True):
            np.testing.assert_array_equal(leaf, twin)


def test_killed_and_repeated_it_ends_the_same_to_the_last_bit(runs, tmp_path):
    left = [50]

    def killed() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        stages.run_stages(config("vmap"), tmp_path, "train", with_collate(killed))
    assert all((tmp_path / "only" / name / "checkpoints").is_dir() for name in NAMES)
    stages.run_stages(config("vmap"), tmp_path, "train", FOLDS)
    assert_same_bytes(runs["vmap"], tmp_path)


def test_a_signal_saves_every_replica_at_the_same_step(runs, tmp_path):
    made = [0]

    def signalled() -> None:
        made[0] += 1
        if made[0] == 20:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        stages.run_stages(config("vmap"), tmp_path, "train", with_collate(signalled))
    saved = [Checkpoints(tmp_path / "only" / name / "checkpoints").steps()[-1] for name in NAMES]
    assert all(0 < step < 30 for step in saved)
    stages.run_stages(config("vmap"), tmp_path, "train", FOLDS)
    assert_same_bytes(runs["vmap"], tmp_path)


@pytest.mark.slow
def test_eight_devices_train_replicas_as_one_does(tmp_path):
    together = "replicas={'seeds': (3, 5), 'folds': 0, 'run': 'vmap'}"
    running = [
        ToyProcess(tmp_path / str(n), together, "epochs=2", "resident=True", devices=n)
        for n in (1, 8)
    ]
    assert [one.finish() for one in running] == [0, 0]
    for seed in (3, 5):
        places = [tmp_path / str(n) / "only" / f"seed={seed}" for n in (1, 8)]
        rows = [read_rows(place / "metrics.jsonl") for place in places]
        assert len(rows[0]) == len(rows[1]) > 4
        for row, twin in zip(*rows, strict=True):
            assert_close(row, twin)


def with_loss_by_seed(config, *arguments):
    """A loss into which a number of the replica is built."""
    system = toy.build(config, *arguments)
    (update,) = system.updates

    def loss(*inputs):
        value, aux = update.loss(*inputs)
        return value * (1 + config.seed), aux

    return system._replace(updates=(update._replace(loss=loss),))


def with_weights_by_seed(config, *arguments):
    """Variables whose shapes depend on the replica."""
    system = toy.build(config, *arguments)

    def init(key, batch):
        return {**system.init(key, batch), "more": {"a": np.zeros(config.seed)}}

    return system._replace(init=init)


def with_batches_by_seed(config, *arguments):
    """Batches whose shapes depend on the replica."""
    system = toy.build(config, *arguments)

    def collate(*inputs):
        return {**system.collate(*inputs), "more": np.zeros((16, config.seed))}

    return system._replace(collate=collate)


def with_resident_by_seed(config, *arguments):
    """Resident arrays whose shapes depend on the replica."""
    system = toy.build(config, *arguments)
    return system._replace(resident={"a": np.zeros(config.seed)})


@pytest.mark.parametrize(
    ("builder", "what"),
    [
        (with_loss_by_seed, "in what they compute"),
        (with_weights_by_seed, "in the shapes of their weights"),
        (with_batches_by_seed, "in the shapes of their batches"),
        (with_resident_by_seed, "in the shapes of their resident arrays"),
    ],
)
def test_what_cannot_be_stacked_is_one_sentence(tmp_path, builder, what):
    made = toy.config()
    made.replicas = ConfigDict({"seeds": (3, 5), "folds": 0, "run": "vmap"})
    module = SimpleNamespace(open_data=toy.open_data, build=builder)
    with pytest.raises(UserError, match=f"seed=3 and only/seed=5 differ {what}.*run to 'loop'"):
        stages.run_stages(made, tmp_path, "train", module)


def test_auto_is_one_after_another_on_a_cpu_and_together_elsewhere(monkeypatch):
    made = config("auto")
    copies = replicas(made)
    for backend, sizes in (("cpu", [1, 1, 1, 1]), ("gpu", [4]), ("tpu", [4])):
        monkeypatch.setattr("jax.default_backend", lambda backend=backend: backend)
        assert [len(group) for group in trained_together(made, copies)] == sizes
