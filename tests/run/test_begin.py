"""Where a stage begins: what its weights may lack, and what a system makes of them."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import UserError
from medjax.run import stages
from medjax.run.init_from import Source, read_variables
from tests.run import toy

HIDDEN = ("params", "hidden", "kernel")


def module(**hooks):
    """The toy system with hooks of its own; it never steps far."""

    def build(config, stage_name, data, artefacts):
        return toy.build(config, stage_name, data, artefacts)._replace(**hooks)

    return types.SimpleNamespace(open_data=toy.open_data, build=build)


def run(folder, init_from="", rate=0.0, **hooks):
    """Return the parameters after a run that, at rate 0, does not move them."""
    config = toy.config()
    config.only = {**config.only, "init_from": init_from}
    config.only.train.epochs = 1
    config.only.optimizer.learning_rate = rate
    stages.run_stages(config, folder, "train", module(**hooks))
    return read_variables(Source(folder / "only", "last"))["params"]


def test_a_system_has_the_last_word_on_where_it_begins(tmp_path):
    source = run(tmp_path / "source", rate=0.1)
    seen = []

    def begin(key, fresh, given):
        seen.extend(given)
        params = {**fresh["params"], "head": jax.tree.map(jnp.ones_like, fresh["params"]["head"])}
        return {**fresh, "params": {**params, "hidden": {"kernel": given[HIDDEN] * 2}}}

    begun = run(tmp_path / "run", (("hidden", str(tmp_path / "source")),), begin=begin)
    np.testing.assert_array_equal(begun["hidden"]["kernel"], source["hidden"]["kernel"] * 2)
    assert (begun["head"]["kernel"] == 1).all()
    assert seen == [HIDDEN]


def test_weights_may_lack_what_the_system_says_and_nothing_else(tmp_path):
    source = run(tmp_path / "source", rate=0.1)

    def wider(key, batch):
        fresh = toy.build(toy.config(), "only", toy.open_data(toy.config(), None), None)
        variables = fresh.init(key, batch)
        more = {"twin": {"kernel": jnp.full((2,), 7.0)}}
        return {**variables, "params": {**variables["params"], **more}}

    with pytest.raises(UserError, match=r"1 missing \(params/twin/kernel\)"):
        run(tmp_path / "strict", str(tmp_path / "source"), init=wider)
    lacking = {"init": wider, "may_lack": lambda path: path[1] == "twin"}
    begun = run(tmp_path / "run", str(tmp_path / "source"), **lacking)
    assert (begun["twin"]["kernel"] == 7).all()
    np.testing.assert_array_equal(begun["head"]["kernel"], source["head"]["kernel"])
