"""Arrays that live on the devices give what batches that carry them give, on any devices."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from medjax.run import sharding, stages
from medjax.run.step import init_state, make_train_step
from medjax.run.system import with_resident
from tests.run import toy, toy_resident
from tests.run.processes import ToyProcess
from tests.run.test_train import assert_same_trace

RESIDENT = SimpleNamespace(open_data=toy.open_data, build=toy_resident.build)


@pytest.mark.parametrize("accumulation", [1, 4])
def test_resident_arrays_give_the_run_of_batches_that_carry_them(tmp_path, accumulation):
    config = toy.config()
    config.only.train.update({"epochs": 2, "accumulation": accumulation})
    runs = {"carried": toy, "resident": RESIDENT}
    for name, module in runs.items():
        stages.run_stages(config, tmp_path / name, "train", module)
    for name in ("results.json", "only/metrics.jsonl"):
        assert (tmp_path / "carried" / name).read_bytes() == (
            tmp_path / "resident" / name
        ).read_bytes()
    stages.run_stages(config, tmp_path / "resident", "evaluate", RESIDENT)
    assert (tmp_path / "carried" / "results.json").read_bytes() == (
        tmp_path / "resident" / "results.json"
    ).read_bytes()


def test_eight_devices_hold_the_arrays_whole_and_give_the_trace_of_one(tmp_path):
    runs = [ToyProcess(tmp_path / str(n), "resident=True", devices=n) for n in (1, 8)]
    assert [run.finish() for run in runs] == [0, 0]
    assert_same_trace(tmp_path / "1", tmp_path / "8")


def test_resident_arrays_are_arguments_of_the_compiled_step():
    """Built into the program, they would be copied and folded at every compilation."""
    config = toy.config()
    system = toy_resident.build(config, "only", toy.open_data(config, None), None)
    plan = system.plan("train", 0)[0]
    batch = system.collate("train", 0, plan, slice(0, plan.size))
    (resident,) = sharding.place_residents([system.resident], sharding.make_mesh())
    state = init_state(
        system, system.init(jax.random.key(0), with_resident(batch, resident)), jax.random.key(1)
    )
    traced = jax.make_jaxpr(make_train_step(system))(state, batch, resident)
    assert max((np.size(value) for value in traced.consts), default=0) < resident["features"].size
    shapes = [variable.aval.shape for variable in traced.jaxpr.invars]
    assert resident["features"].shape in shapes


def test_a_name_in_both_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="mask, x: named by System.resident and by the batch"):
        with_resident({"x": 1, "mask": 2, "y": 3}, {"x": 1, "mask": 2})
