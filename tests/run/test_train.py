"""The training loop: resume is exact, devices and padding change nothing, faults are sentences."""

import json
import signal
import socket
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from medjax.errors import UserError
from medjax.run import stages
from medjax.run.checkpoint import Checkpoints
from medjax.run.report.metrics_log import read_rows
from medjax.run.step import init_state, make_train_step
from tests.run import toy
from tests.run.processes import ToyProcess
from tests.run.run_toy import main


def final_state(workdir: Path) -> dict:
    """Return the last checkpoint's arrays by path."""
    restored = Checkpoints(workdir / "only" / "checkpoints").restore(None, "last")
    assert restored is not None
    state = restored[1]
    state.pop("key")
    flat, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("whole")
    assert ToyProcess(workdir).finish() == 0
    return workdir


def assert_same_run(one: Path, other: Path) -> None:
    """Results, logged rows and final state are equal to the last bit."""
    for name in ("results.json", "only/metrics.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    states = final_state(one), final_state(other)
    assert states[0].keys() == states[1].keys()
    for path, leaf in states[0].items():
        np.testing.assert_array_equal(leaf, states[1][path], err_msg=path)


def test_kill_then_repeat_gives_the_undisturbed_run(whole, tmp_path):
    workdir = tmp_path / "run"
    kills = 0
    for attempt in range(12):
        running = ToyProcess(workdir, "slow=0.05")
        deadline = time.monotonic() + 60
        rows = len(read_rows(workdir / "only" / "metrics.jsonl"))
        # Let every life make some progress, a different amount each time, then kill it.
        while time.monotonic() < deadline and running.is_running():
            grown = len(read_rows_safely(workdir)) - rows
            if attempt < 3 and grown > 1 + 2 * attempt:
                break
            time.sleep(0.01)
        if running.is_running():
            running.kill()
            kills += 1
        else:
            assert running.finish() == 0
            break
    assert kills >= 2
    assert_same_run(whole, workdir)


def read_rows_safely(workdir: Path) -> list:
    """Rows of a log that another process writes."""
    try:
        return read_rows(workdir / "only" / "metrics.jsonl")
    except UserError:
        return []


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_saves_at_the_next_step_and_the_run_goes_on(whole, tmp_path, signum, code):
    running = ToyProcess(tmp_path, "slow=0.1")
    while len(read_rows_safely(tmp_path)) < 7 and running.is_running():
        time.sleep(0.02)
    running.send_signal(signum)
    assert running.finish() == code
    saved = Checkpoints(tmp_path / "only" / "checkpoints").steps()[-1]
    assert saved >= len([r for r in read_rows_safely(tmp_path) if r["split"] == "train"])
    assert ToyProcess(tmp_path).finish() == 0
    assert_same_run(whole, tmp_path)


def assert_same_trace(one: Path, other: Path) -> None:
    """Logged losses and the final state agree to the rounding of sums in another order."""
    logs = [read_rows(run / "only" / "metrics.jsonl") for run in (one, other)]
    assert len(logs[0]) == len(logs[1])
    for row, twin in zip(*logs):
        assert row.keys() == twin.keys()
        np.testing.assert_allclose(row["loss"], twin["loss"], rtol=1e-4)
    state = final_state(other)
    for path, leaf in final_state(one).items():
        np.testing.assert_allclose(leaf, state[path], rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("parameters", ["replicated", "sharded"])
def test_eight_devices_give_the_trace_of_one(whole, tmp_path, parameters):
    assert ToyProcess(tmp_path, f"parameters={parameters!r}", devices=8).finish() == 0
    assert_same_trace(whole, tmp_path)


def test_two_processes_give_the_trace_of_one(whole, tmp_path):
    with socket.socket() as s:
        s.bind(("localhost", 0))
        address = f"localhost:{s.getsockname()[1]}"
    both = [ToyProcess(tmp_path, f"join=({address!r}, 2, {index})") for index in range(2)]
    try:
        assert [one.finish() for one in both] == [0, 0]
    finally:
        for one in both:
            one.kill()
    assert_same_trace(whole, tmp_path)
    assert (tmp_path / "results.json").is_file()


def test_a_run_may_go_on_with_more_devices(whole, tmp_path):
    running = ToyProcess(tmp_path, "slow=0.1")
    while len(read_rows_safely(tmp_path)) < 7 and running.is_running():
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    assert running.finish() == 143
    assert ToyProcess(tmp_path, devices=8).finish() == 0
    assert_same_trace(whole, tmp_path)


def test_published_order_validates_first_and_trains_one_epoch_fewer(tmp_path):
    assert main(str(tmp_path), "epoch_order='validate_then_train'") == 0
    rows = read_rows(tmp_path / "only" / "metrics.jsonl")
    assert rows[0]["split"] == "validation" and rows[0]["step"] == 0
    assert max(row["step"] for row in rows) == 15
    assert [row["step"] for row in rows if row["split"] == "validation"] == [0, 5, 10]


def test_patience_stops_early_and_best_is_scored(tmp_path):
    assert main(str(tmp_path), "epochs=40", "patience=2") == 0
    rows = read_rows(tmp_path / "only" / "metrics.jsonl")
    scores = [row["accuracy"] for row in rows if row["split"] == "validation"]
    assert len(scores) < 40
    assert scores.index(max(scores)) == len(scores) - 3
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["only"]["validation"]["accuracy"]["value"] == max(scores)


def test_not_finite_stops_with_step_and_batch_and_saves_no_nan(tmp_path, capsys):
    assert main(str(tmp_path), "poison=3") == 1
    sentence = capsys.readouterr().err
    assert "not finite at step" in sentence and "learning_rate" in sentence
    steps = Checkpoints(tmp_path / "only" / "checkpoints").steps()
    if steps:
        assert all(np.isfinite(leaf).all() for leaf in final_state(tmp_path).values())


def test_not_finite_steps_can_be_skipped_and_counted(tmp_path):
    assert main(str(tmp_path), "poison=3", "on_not_finite='skip'") == 0
    rows = read_rows(tmp_path / "only" / "metrics.jsonl")
    assert max(row.get("skipped", 0) for row in rows) == 4  # once an epoch
    assert all(np.isfinite(leaf).all() for leaf in final_state(tmp_path).values())


def test_out_of_memory_names_batch_and_mend(tmp_path, monkeypatch):
    def exhausted(*arguments):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")

    monkeypatch.setattr("medjax.run.lanes.compiled_step", lambda *a: exhausted)
    with pytest.raises(UserError, match=r"step 1 of stage only with a batch of 16; lower .*batch"):
        stages.run_stages(toy.config(), tmp_path, "train", toy)


def test_accumulated_parts_give_the_gradient_of_the_whole_batch():
    """Without batch statistics and dropout the parts' mean is the batch's own gradient."""
    config = toy.config()
    system = toy.build(config, "only", toy.open_data(config, None), None)
    plan = system.plan("train", 0)[-1]  # partial: parts differ in valid rows
    batch = system.collate("train", 0, plan, slice(0, plan.size))
    assert 0 < batch["mask"].sum() < plan.size
    update = system.updates[0]

    def loss(variables, batch, key, step):
        predicted = system.predict(variables, batch, key)
        from medjax.losses import masked_mean
        from medjax.run.system import Aux

        return masked_mean(predicted["loss"], batch["mask"]), Aux({}, {})

    system = system._replace(updates=(update._replace(loss=loss),))
    variables = system.init(jax.random.key(0), batch)
    state = init_state(system, variables, jax.random.key(1))
    once, scalars = make_train_step(system, 1)(state, batch)
    parts, in_parts = make_train_step(system, 4)(state, batch)
    np.testing.assert_allclose(scalars["loss"], in_parts["loss"], rtol=1e-6)
    np.testing.assert_allclose(scalars["gradient_norm"], in_parts["gradient_norm"], rtol=1e-5)
    for a, b in zip(jax.tree.leaves(once.variables), jax.tree.leaves(parts.variables)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_what_stands_in_padding_rows_changes_nothing():
    config = toy.config()
    system = toy.build(config, "only", toy.open_data(config, None), None)
    plan = system.plan("train", 0)[-1]
    batch = dict(system.collate("train", 0, plan, slice(0, plan.size)))
    state = init_state(system, system.init(jax.random.key(0), batch), jax.random.key(1))
    dirty = {**batch, "x": np.where(batch["mask"][:, None], batch["x"], 1e3).astype(np.float32)}
    step = jax.jit(make_train_step(system))
    clean_state, _ = step(state, batch)
    dirty_state, _ = step(state, dirty)
    for a, b in zip(jax.tree.leaves(clean_state.variables), jax.tree.leaves(dirty_state.variables)):
        np.testing.assert_array_equal(a, b)
