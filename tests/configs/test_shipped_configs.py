"""Every shipped config trains at `smoke`, is found again, and lowers for accelerators."""

import itertools
import json
import shutil

import jax
import numpy as np
import pandas as pd
import pytest
from jax import export

from medjax.errors import UsageError
from medjax.main import main
from medjax.run.overrides import Override
from medjax.run.stages import system_module
from medjax.run.step import init_state, make_train_step
from medjax.run.system import with_resident
from medjax.run.words import Recipe, load, load_config, open_recipe
from medjax.run.workdir import read_config
from tests.conftest import CONFIGS

PLATFORMS = ("cuda", "tpu")


def combinations(recipe: Recipe) -> list[tuple[str, ...]]:
    """Return none, every word and every pair of words that may stand together, after each size."""
    groups = [words for group, words in recipe.groups.items() if group != "size"]
    pairs = [pair for two in itertools.combinations(groups, 2) for pair in itertools.product(*two)]
    chosen = [(), *((word,) for words in groups for word in words), *pairs]
    return [(size, *words) for size in recipe.groups["size"] for words in chosen]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_any_two_words_give_a_config_or_say_what_to_use(path, tmp_path):
    recipe = open_recipe(path)
    for words in combinations(recipe):
        try:
            config = load(recipe, words, [Override("data.dir", str(tmp_path))]).config
        except UsageError as e:
            assert "; use one of" in str(e), words
            continue
        assert all(stage in config for stage in config.stages), words


def test_smoke_writes_what_the_workdir_promises(smoke_run):
    path, workdir = smoke_run
    config = load_config(path, ("smoke",))
    results = json.loads((workdir / "results.json").read_text())
    assert set(config.stages) <= results.keys() and list(results) == sorted(results)
    for stage in config.stages:
        assert results[stage].keys() == set(config[stage].train.final_splits)
        for split, metrics in results[stage].items():
            predictions = pd.read_parquet(workdir / stage / f"predictions-{split}.parquet")
            for has in [name for name in predictions if name.startswith("has_")]:
                predictions = predictions[predictions[has]]  # what one lacks is NaN
            assert len(predictions) and not predictions.isna().any().any()
            for metric in metrics.values():
                assert metric["value"] is not None or metric["reason"]
        if "optimizer" in config[stage]:  # The others read with the weights of a stage before.
            assert (workdir / stage / "metrics.jsonl").read_text()
            assert list((workdir / stage / "tensorboard").iterdir())
    assert (workdir / "timing.json").is_file() and list((workdir / "plots").glob("*.png"))
    text = (workdir / "results.json").read_text()
    assert str(workdir) not in text and "second" not in text


def test_a_finished_run_prints_its_results_again(smoke_run, capsys):
    path, workdir = smoke_run
    before = (workdir / "results.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main([f"--config={path}:smoke", f"--workdir={workdir}"]) == 0
    shown = capsys.readouterr().out
    assert all(stage in shown for stage in json.loads((workdir / "results.json").read_text()))
    assert "compiled" not in shown
    assert (workdir / "results.json").stat().st_mtime_ns == before


def test_old_numbers_are_not_shown_for_a_changed_config(smoke_run, capsys):
    path, workdir = smoke_run
    assert main([f"--config={path}:smoke", f"--workdir={workdir}", "--config.seed=99"]) == 2
    shown = capsys.readouterr()
    assert "seed" in shown.err and not shown.out


def test_evaluating_again_gives_the_same_bytes(smoke_run, tmp_path):
    path, workdir = smoke_run
    again = tmp_path / "run"
    shutil.copytree(workdir, again)
    files = ("results.json", "timing.json")  # evaluating again says nothing of the training's time
    before = [(again / name).read_bytes() for name in files]
    assert main([f"--config={path}:smoke", f"--workdir={again}", "--mode=evaluate"]) == 0
    assert [(again / name).read_bytes() for name in files] == before


def test_prediction_gives_what_evaluation_gave(smoke_run, tmp_path):
    path, workdir = smoke_run
    if (workdir / "demo").is_dir():
        shutil.copytree(workdir / "demo", tmp_path / "demo")  # so that it is not made again
    stage = read_config(workdir).stages[-1]
    argv = [f"--config={path}:smoke", f"--workdir={tmp_path}", "--mode=predict"]
    argv += [f"--config.{stage}.init_from={workdir}", f"--config.stages={stage}"]
    assert main(argv) == 0
    for split in ("validation", "test"):
        name = f"{stage}/predictions-{split}.parquet"
        one, other = pd.read_parquet(workdir / name), pd.read_parquet(tmp_path / name)
        pd.testing.assert_frame_equal(one, other)


def test_every_train_step_lowers_for_accelerators(smoke_run):
    _, workdir = smoke_run
    config = read_config(workdir)
    module = system_module(config.system)
    data = module.open_data(config, workdir)
    for stage in config.stages:
        system = module.build(config, stage, data, None)
        if not system.updates:
            continue  # it trains nothing, and may have no train split
        plan = system.plan("train", 0)[0]
        batch = system.collate("train", 0, plan, slice(0, plan.size))
        resident = dict(system.resident)
        state = jax.eval_shape(
            lambda key, batch, s=system: init_state(s, s.init(key, batch), key),
            jax.random.key(0),
            with_resident(batch, resident),
        )
        state = state.replace(key=jax.random.key_data(jax.random.key(0)))

        def step(state, batch, resident, s=system):
            state = state.replace(key=jax.random.wrap_key_data(state.key))
            state, scalars = make_train_step(s)(state, batch, resident)
            return jax.tree.leaves(state.variables), scalars

        shapes = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype), (batch, resident)
        )
        exported = export.export(jax.jit(step), platforms=PLATFORMS)(state, *shapes)
        assert exported.platforms == PLATFORMS and exported.mlir_module_serialized
