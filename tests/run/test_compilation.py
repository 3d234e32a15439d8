"""Quick compilation is a choice of a block, and of a config."""

from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax import main
from medjax.run import stages
from medjax.run.compilation import call_once, compile_quickly


def is_quick() -> bool:
    return jax.config.values["jax_disable_most_optimizations"]


def test_the_choice_ends_with_the_block() -> None:
    with pytest.raises(RuntimeError), compile_quickly(True):
        assert is_quick()
        raise RuntimeError
    assert not is_quick()


def test_what_is_called_once_gives_the_same() -> None:
    key = jax.random.key(0)
    there = call_once(jax.random.normal, key)
    np.testing.assert_allclose(there, jax.jit(jax.random.normal)(key), rtol=1e-6)


@pytest.mark.parametrize("fast", [True, False])
def test_a_config_chooses_for_its_run(
    fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(main, "_import_jax", lambda folder: jax)
    monkeypatch.setattr(stages, "run_stages", lambda *_: seen.append(is_quick()))
    config = ConfigDict({"fast_compilation": fast, "stages": ()})
    main.run(config, tmp_path / "run", "train")
    assert seen == [fast]
