"""Several processes share one folder of checkpoints and always agree on the step."""

import os
import socket
import subprocess
import sys
from pathlib import Path

PROCESS = """
import sys
from pathlib import Path
import jax, numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from medjax.errors import UserError
from medjax.run.checkpoint import Checkpoints

port, index, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
jax.distributed.initialize(f"localhost:{port}", 2, index)
mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
whole = np.arange(64, dtype=np.float32).reshape(8, 8)
x = jax.make_array_from_callback((8, 8), NamedSharding(mesh, P("data")), lambda rows: whole[rows])
state = {"x": x, "n": np.asarray(4)}
checkpoints = Checkpoints(folder)
assert checkpoints.restore(state) is None
for step in (1, 2, 3):
    checkpoints.save(step, state, {"a": step}, best=step == 1)
if index == 0:
    (folder / "3" / "digests.json").write_text("")
multihost_utils.sync_global_devices("damaged")
step, found, extra = checkpoints.restore(state)
assert (step, extra, int(found["n"])) == (2, {"a": 2}, 4)
(shard,) = found["x"].addressable_shards
assert np.array_equal(shard.data, whole[4 * index : 4 * index + 4])
step, found, _ = checkpoints.restore(None, "best")
assert step == 1 and np.array_equal(found["x"], whole)
try:
    checkpoints.restore(state, 7)
except UserError as error:
    print(error)
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def test_two_processes_save_restore_and_fail_together(tmp_path):
    port = free_port()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(port), str(index), str(tmp_path)],
            env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in (0, 1)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "it is missing; the steps there are 1, 2" in outputs[0][0]
    assert "process 0 stopped at a checkpoint" in outputs[1][0]
