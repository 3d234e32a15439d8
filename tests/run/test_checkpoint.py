"""A damaged, half-written or foreign checkpoint is never used; a good one comes back exactly."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medjax.errors import UserError
from medjax.run import digests
from medjax.run.checkpoint import Checkpoints


def make_state(value: float = 1.0) -> dict:
    params = {"dense": {"kernel": jnp.full((3, 4), value), "bias": jnp.zeros(4, jnp.bfloat16)}}
    return {
        "params": params,
        "optimizer": optax.adam(1e-3).init(params),
        "key": jax.random.key(7),
        "keys": jax.random.split(jax.random.key(8, impl="rbg"), 2),
        "samples": np.asarray(2**40),
        "empty": jnp.zeros((0, 5)),
        "step": jnp.int32(3),
    }


def values(state) -> dict[str, np.ndarray]:
    def plain(x):
        is_key = jnp.issubdtype(getattr(x, "dtype", None), jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if is_key else x)

    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): plain(x) for p, x in leaves}


def assert_equal(a, b) -> None:
    a, b = values(a), values(b)
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype, name
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def save_steps(folder: Path, *steps: int, best: int | None = None) -> Checkpoints:
    checkpoints = Checkpoints(folder)
    for step in steps:
        checkpoints.save(step, {"w": jnp.full((8, 8), float(step))}, {"e": step}, step == best)
    return checkpoints


def restored_step(folder: Path, which="last") -> int:
    step, state, extra = Checkpoints(folder).restore(None, which)
    assert np.all(state["w"] == step) and extra == {"e": step}
    return step


def test_a_state_comes_back_exactly_in_its_structure(tmp_path):
    state = make_state()
    extra = {"epoch": 2, "best": float("-inf"), "score": np.float32(0.1), "plateau": {"wait": 3}}
    Checkpoints(tmp_path).save(5, state, extra)
    step, found, found_extra = Checkpoints(tmp_path).restore(make_state(0.0))
    assert step == 5
    assert found_extra == {**extra, "score": float(np.float32(0.1))}
    assert jax.tree.structure(found) == jax.tree.structure(state)
    assert_equal(found, state)
    assert isinstance(found["samples"], np.ndarray)
    np.testing.assert_array_equal(
        jax.random.normal(found["key"], (3,)), jax.random.normal(state["key"], (3,))
    )


def test_abstract_templates_serve_as_well(tmp_path):
    state = make_state()
    Checkpoints(tmp_path).save(1, state, {})
    template = jax.eval_shape(lambda: {k: v for k, v in state.items() if k != "samples"})
    _, found, _ = Checkpoints(tmp_path).restore({**template, "samples": np.zeros((), np.int64)})
    assert_equal(found, state)


def test_without_a_template_come_nested_dicts_of_numpy_arrays(tmp_path):
    state = make_state()
    Checkpoints(tmp_path).save(1, state, {})
    _, found, _ = Checkpoints(tmp_path).restore()
    kernel = found["optimizer"]["0"]["mu"]["dense"]["kernel"]
    assert isinstance(kernel, np.ndarray) and kernel.shape == (3, 4)
    assert found["params"]["dense"]["bias"].dtype == jnp.bfloat16
    assert found["empty"].shape == (0, 5)
    assert_equal(found["params"], state["params"])
    assert_equal(found["keys"], state["keys"])


def test_an_empty_folder_has_nothing_to_restore(tmp_path):
    checkpoints = Checkpoints(tmp_path / "none")
    assert checkpoints.restore() is None
    assert checkpoints.steps() == [] and checkpoints.best_step() is None
    assert not (tmp_path / "none").exists()


def test_last_and_best_survive_pruning(tmp_path):
    checkpoints = save_steps(tmp_path, 1, 2, 3, 4, 5, 6, best=2)
    assert checkpoints.steps() == [2, 5, 6]
    assert checkpoints.best_step() == 2
    assert restored_step(tmp_path) == 6
    assert restored_step(tmp_path, "best") == 2
    assert restored_step(tmp_path, 5) == 5


def test_the_best_of_every_kept_step_is_kept(tmp_path):
    """So that falling back to an older step finds the best as that step knew it."""
    checkpoints = save_steps(tmp_path, 1, best=1)
    save_steps(tmp_path, 2, 3)
    save_steps(tmp_path, 4, best=4)
    assert checkpoints.steps() == [1, 3, 4]
    flip_bit(next((tmp_path / "4").rglob("manifest.ocdbt")))
    assert restored_step(tmp_path) == 3
    assert restored_step(tmp_path, "best") == 1


def test_saving_the_same_step_again_replaces_it_and_keeps_it_the_best(tmp_path):
    checkpoints = save_steps(tmp_path, 3, 4, best=4)
    checkpoints.save(4, {"w": jnp.ones(2)}, {"again": True})
    step, state, extra = checkpoints.restore()
    assert (step, state["w"].shape, extra) == (4, (2,), {"again": True})
    assert checkpoints.best_step() == 4


def test_a_damaged_newer_step_is_replaced_by_the_resumed_run(tmp_path):
    save_steps(tmp_path, 1, 2, 9)
    flip_bit(tmp_path / "9" / "digests.json")
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.restore()[0] == 2
    checkpoints.save(3, {"w": jnp.full((8, 8), 3.0)}, {"e": 3})
    assert sorted(os.listdir(tmp_path)) == ["2", "3"]
    assert restored_step(tmp_path) == 3


def flip_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGES = {
    "flip": flip_bit,
    "truncate": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "delete": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_falls_back_to_the_previous_step(tmp_path, caplog, damage):
    save_steps(tmp_path / "good", 1, 2)
    names = sorted(
        str(p.relative_to(tmp_path / "good" / "2"))
        for p in (tmp_path / "good" / "2").rglob("*")
        if p.is_file() and p.stat().st_size
    )
    assert len(names) > 4 and "digests.json" in names
    for i, name in enumerate(names):
        folder = tmp_path / str(i)
        shutil.copytree(tmp_path / "good", folder)
        DAMAGES[damage](folder / "2" / name)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert restored_step(folder) == 1, name
        warnings = [r.getMessage() for r in caplog.records if r.name.startswith("medjax")]
        assert len(warnings) == 1 and str(folder / "2") in warnings[0] and name in warnings[0]


def test_every_bit_of_the_seal_counts(tmp_path):
    save_steps(tmp_path, 1)
    path = tmp_path / "1" / "digests.json"
    good = path.read_bytes()
    for i in range(0, len(good), 7):
        path.write_bytes(good[:i] + bytes([good[i] ^ (1 << i % 8)]) + good[i + 1 :])
        with pytest.raises(digests.DamagedError):
            digests.check(tmp_path / "1")


def test_empty_step_folders_and_leftovers_are_passed_over_and_cleaned(tmp_path):
    save_steps(tmp_path, 1)
    for name in ("9", ".saving-5", ".removing-0", "7.orbax-checkpoint-tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / ".saving-5" / "half").write_text("x")
    assert restored_step(tmp_path) == 1
    assert Checkpoints(tmp_path).steps() == [1]
    save_steps(tmp_path, 2)
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "7.orbax-checkpoint-tmp"]


def test_no_good_step_is_an_error_that_says_why(tmp_path):
    save_steps(tmp_path, 1, 2)
    flip_bit(tmp_path / "1" / "digests.json")
    (tmp_path / "2" / "arrays" / "_METADATA").unlink()
    with pytest.raises(UserError, match=r"no checkpoint .*\(step 2: arrays/_METADATA is missing; "):
        Checkpoints(tmp_path).restore()


def test_a_damaged_best_step_falls_back_to_the_newest(tmp_path, caplog):
    save_steps(tmp_path, 1, 2, best=1)
    flip_bit(tmp_path / "1" / "arrays" / "_METADATA")
    assert restored_step(tmp_path, "best") == 2
    assert "arrays/_METADATA has changed; step 2 is used" in caplog.text


def test_a_step_asked_for_by_number_is_not_replaced(tmp_path):
    save_steps(tmp_path, 1, 2)
    with pytest.raises(UserError, match=r"it is missing; the steps there are 1, 2"):
        Checkpoints(tmp_path).restore(None, 3)
    with pytest.raises(UserError, match=r"'newest' .* is not 'last', 'best' or a step"):
        Checkpoints(tmp_path).restore(None, "newest")


def test_another_model_is_refused_with_the_names(tmp_path):
    state = make_state()
    Checkpoints(tmp_path).save(1, state, {})
    other = {**state, "params": {"dense": {"kernel": jnp.zeros((3, 5))}}, "more": jnp.zeros(2)}
    with pytest.raises(UserError) as error:
        Checkpoints(tmp_path).restore(other)
    assert "params/dense/kernel is float32[3,4] there and float32[3,5] here" in str(error.value)
    assert "params/dense/bias is bfloat16[4] there and absent here" in str(error.value)
    assert "more is absent there and float32[2] here" in str(error.value)


def test_another_format_is_refused_with_both_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "FORMAT", 99)
    monkeypatch.setattr(digests, "__version__", "88.1")
    save_steps(tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(UserError, match=rf"format 99 of medjax 88\.1.*format {digests.FORMAT}"):
        Checkpoints(tmp_path).restore()


def test_the_folder_is_for_its_owner_only(tmp_path):
    save_steps(tmp_path / "checkpoints", 1)
    assert (tmp_path / "checkpoints").stat().st_mode & 0o077 == 0


def run_script(script: str, *arguments: object, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


ONTO_EIGHT_DEVICES = """
import sys, jax, jax.numpy as jnp, numpy as np
from pathlib import Path
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from medjax.run.checkpoint import Checkpoints
assert jax.device_count() == 8
mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
def place(x, *axes):
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, P(*axes)))
template = {"w": place(jnp.zeros((8, 8)), "data"), "key": place(jax.random.key(0))}
step, state, _ = Checkpoints(Path(sys.argv[1])).restore(template)
assert state["w"].sharding.is_equivalent_to(template["w"].sharding, 2)
assert len(state["key"].sharding.device_set) == 8
assert np.array_equal(state["w"], np.arange(64.0).reshape(8, 8))
assert np.array_equal(jax.random.key_data(state["key"]), jax.random.key_data(jax.random.key(3)))
Checkpoints(Path(sys.argv[2])).save(step + 1, {**state, "w": state["w"] + 1}, {})
"""


def test_one_device_to_eight_and_back(tmp_path):
    state = {"w": jnp.arange(64.0).reshape(8, 8), "key": jax.random.key(3)}
    Checkpoints(tmp_path / "one").save(1, state, {})
    flags = "--xla_force_host_platform_device_count=8"
    run_script(ONTO_EIGHT_DEVICES, tmp_path / "one", tmp_path / "eight", XLA_FLAGS=flags)
    step, found, _ = Checkpoints(tmp_path / "eight").restore(state)
    assert step == 2
    assert_equal(found, {**state, "w": state["w"] + 1})


KILLED_WHILE_SAVING = """
import os, random, shutil, signal, sys, time
from pathlib import Path
import numpy as np
from medjax.run.checkpoint import Checkpoints

def save_without_end(folder, start, tell):
    checkpoints = Checkpoints(folder)
    for step in range(start, start + 999):
        state = {str(j): np.full((200, 100), step, np.float32) for j in range(5)}
        checkpoints.save(step, state, {"step": step}, best=step % 5 == 1)
        os.write(tell, b".")

rng = random.Random(0)
for i in range(8):  # the imports are paid once; the parent itself never opens a checkpoint
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        save_without_end(Path(sys.argv[1], "live"), 1000 * i + 1, writer)
    os.close(writer)
    assert os.read(reader, 1)
    time.sleep(rng.uniform(0, 0.3))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    shutil.copytree(Path(sys.argv[1], "live"), Path(sys.argv[1], str(i)))
"""


def test_killed_while_saving_leaves_a_whole_step(tmp_path):
    run_script(KILLED_WHILE_SAVING, tmp_path)
    for i in range(8):
        checkpoints = Checkpoints(tmp_path / str(i))
        for which in ("last", "best"):
            step, state, extra = checkpoints.restore(None, which)
            assert step > 1000 * i and extra == {"step": step}
            assert all(np.all(x == step) for x in state.values())
        assert step % 5 == 1 and step == checkpoints.best_step()


DISK_FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from medjax.errors import UserError
from medjax.run.checkpoint import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]))
rng = np.random.default_rng(0)
checkpoints.save(1, {"w": rng.random(1000)}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoints.save(2, {"w": rng.random(1_000_000)}, {})
except UserError as error:
    print(error)
print(checkpoints.restore(None)[0])
"""


def test_a_save_that_the_disk_refuses_leaves_the_older_step(tmp_path):
    """A limit on the size of files stands for a full disk: the write fails half-way."""
    message, step = run_script(DISK_FULL, tmp_path).splitlines()
    assert message.startswith(f"cannot save step 2 in {tmp_path}: File too large; mend that")
    assert step == "1" and os.listdir(tmp_path) == ["1"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"cannot save step 1 in .*: Not a directory"):
        save_steps(tmp_path / "file" / "checkpoints", 1)


def test_the_seal_is_plain_json(tmp_path):
    save_steps(tmp_path, 1)
    body = json.loads((tmp_path / "1" / "digests.json").read_text())
    assert body["content"]["arrays"] == {"w": "float32[8,8]"}
    assert all(len(digest) == 64 for digest in body["files"].values())
