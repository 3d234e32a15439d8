"""The cross-modal autoencoder beside the same networks in PyTorch and in Keras, alternated.

    python -m tests.bench.crossmodal [--row=ecg|mri|paired|infer] [--batch=4] [--infer_batch=32]
        [--threads=2] [--rounds=5] [--keras=PYTHON] [--no_torch]

"ecg", "mri" and "paired": a training step of the published networks at 600x12 and 96x96x50 with
Adam; "infer": latents of both modalities of a batch. All sides get the same weights and signals,
and their latents and reconstructions are compared before anything is timed. Ours is one jitted
function a step, PyTorch runs eagerly, Keras is compiled as it does by itself (XLA) and once more
without XLA. Keras runs in a process of its own, started with `--keras`, the Python of an
environment with TensorFlow; without it those columns are left out. Processor seconds tell more than
wall seconds on a busy machine; ratios are medians over the rounds of theirs / ours, above 1 where
ours is faster.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util

from medjax.run.optim import scale_by_keras_adam
from medjax.systems.crossmodal.architecture import Architecture
from medjax.systems.crossmodal.loss import (
    PairOptions,
    Reconstruction,
    autoencoder_loss,
    paired_loss,
)
from medjax.systems.crossmodal.model import CrossModal, make_init

ECG = Architecture((600, 12), (23, 23), (46,), 5, dense_normalize="layer_norm", activation="mish")
MRI = Architecture(
    (96, 96, 50),
    (24, 24),
    (40, 40, 40),
    dense_normalize="layer_norm",
    activation="gelu",
    pool_type="average",
)
MODALITIES = {"ecg": ECG, "mri": MRI}
ROWS = {"ecg": ("ecg",), "mri": ("mri",), "paired": ("ecg", "mri"), "infer": ("ecg", "mri")}
LOSSES = {"ecg": "log_cosh", "mri": "mse"}
RATE = 5e-5
TOLERANCE = 1e-3
Step = Callable[[], Any]
Seconds = tuple[float, float]
"""Of the processor and of the wall."""


def our_model(names: tuple[str, ...]) -> CrossModal:
    """The network of a row."""
    modalities = tuple((name, MODALITIES[name]) for name in names)
    return (
        CrossModal(modalities, "sample", (), 2.6593) if len(names) > 1 else CrossModal(modalities)
    )


def our_step(row: str, model: CrossModal, variables: Mapping, batch: Mapping) -> Step:
    """Return a function that makes one step, or encodes the batch."""
    given = jax.tree.map(jnp.asarray, dict(batch))
    if row == "infer":
        encode = jax.jit(lambda v, b: [model.apply(v, n, b[n], method="encode") for n in ROWS[row]])
        return lambda: jax.block_until_ready(encode(variables, given))
    if len(ROWS[row]) > 1:
        kinds = {name: Reconstruction(LOSSES[name]) for name in ROWS[row]}
        loss = paired_loss(model, kinds, PairOptions())
    else:
        loss = autoencoder_loss(model, LOSSES[row])
    adam = optax.chain(scale_by_keras_adam(0.9, 0.999, 1e-7), optax.scale(-RATE))
    given["mask"] = jnp.ones(len(given[ROWS[row][0]]), bool)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, key):
        key, used = jax.random.split(key)
        of = jax.value_and_grad(lambda p: loss({"params": p}, given, used, 0), has_aux=True)
        (value, _), gradient = of(params)
        updates, state = adam.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, key, value

    params = jax.tree.map(jnp.copy, variables["params"])
    held = [params, adam.init(params), jax.random.key(1)]

    def run() -> float:
        *held[:], value = step(*held)
        return float(value)

    return run


def torch_step(row: str, variables: Mapping, batch: Mapping, truth: Mapping) -> Step:
    """Return the same in PyTorch; stop where it does not compute the same."""
    import torch
    from torch.nn import functional

    from tests.bench import torch_crossmodal as twin

    names = ROWS[row]
    own = {name: MODALITIES[name] for name in names}
    network = twin.CrossModal(own)
    twin.load(network, variables["params"], own)
    given = {n: torch.tensor(np.moveaxis(batch[n], -1, 1).copy()) for n in names}
    with torch.no_grad():
        for n, x in given.items():
            z = network.encode(n, x)
            check("PyTorch", z.numpy(), truth[f"z_{n}"])
            check("PyTorch", np.moveaxis(network.decode(n, z).numpy(), 1, -1), truth[f"y_{n}"])
    if row == "infer":

        def encode() -> Any:
            with torch.no_grad():
                return [network.encode(n, x) for n, x in given.items()]

        return encode
    optimizer = torch.optim.Adam(network.parameters(), RATE, eps=1e-7)

    def step() -> float:
        latents = [network.encode(n, x) for n, x in given.items()]
        z, loss = latents[0], 0.0
        if len(names) > 1:
            loss = 0.1 * twin.info_nce(*latents, network.log_scale)
            index = torch.randint(len(names), (len(z),))
            z = torch.stack(latents)[index, torch.arange(len(z))]
        for n, x in given.items():
            y = network.decode(n, z)
            loss = loss + (twin.log_cosh(y - x) if n == "ecg" else functional.mse_loss(y, x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def check(side: str, theirs: np.ndarray, ours: np.ndarray) -> None:
    """Stop where two sides differ."""
    worst = float(np.abs(theirs - ours).max())
    if worst > TOLERANCE:
        sys.exit(f"{side} differs from ours by {worst:.2g}: nothing is timed")


class Keras:
    """The process in which Keras runs."""

    def __init__(self, python: str, threads: int) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        script = Path(__file__).with_name("keras_crossmodal.py")
        self._process = subprocess.Popen(
            [python, str(script), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def ask(self, command: Any) -> list[float]:
        """Send a command and return its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._errors.seek(0)
            sys.exit(f"the process of Keras ended:\n{self._errors.read()[-2000:]}")
        return json.loads(answer)

    def make(self, name: str, row: str, arrays: Path, jit: bool) -> Callable[[], Seconds]:
        """Make the network of a row; stop where it does not compute the same."""
        options = {modality: keras_options(MODALITIES[modality]) for modality in ROWS[row]}
        command = {"make": name, "row": row, "options": options, "arrays": str(arrays), "jit": jit}
        (worst,) = self.ask(command)
        if worst > TOLERANCE:
            sys.exit(f"Keras differs from ours by {worst:.2g}: nothing is timed")
        return lambda: tuple(self.ask({"step": name}))  # type: ignore[return-value]

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def keras_options(options: Architecture) -> dict[str, Any]:
    """An architecture as JSON."""
    names = ("shape", "conv_layers", "dense_blocks", "block_size", "pool_type", "activation")
    found = {
        name: getattr(options, name) for name in (*names, "axes", "factors", "start", "latent")
    }
    found["kernels"] = options.kernels(len(options.conv_layers) + len(options.dense_blocks))
    return found


def keras_arrays(variables: Mapping) -> dict[str, np.ndarray]:
    """Our parameters as `<layer>.<weight>` of Keras."""
    flat = traverse_util.flatten_dict(dict(variables["params"]))
    found = {}
    for (*path, leaf), array in flat.items():
        norm = path[-1].startswith("norm")
        kind = {"scale": "gamma", "bias": "beta" if norm else "bias"}.get(leaf, leaf)
        found[".".join((*path, kind))] = np.asarray(array)
    return found


def timed(step: Step) -> Seconds:
    """Return processor and wall seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    step()
    return time.process_time() - processor, time.perf_counter() - wall


def measure(row: str, rows: int, rounds: int, keras: Keras | None, torch: bool) -> list[str]:
    """Return the lines of a row of the table."""
    names, model = ROWS[row], our_model(ROWS[row])
    variables = jax.jit(make_init(model))(jax.random.key(0))
    generator = np.random.default_rng(0)
    batch = {
        n: generator.normal(size=(rows, *MODALITIES[n].shape)).astype(np.float32) for n in names
    }
    truth = {}
    for n, x in batch.items():
        z = jax.jit(partial(model.apply, method="encode"), static_argnums=1)(variables, n, x)
        y = jax.jit(partial(model.apply, method="decode"), static_argnums=1)(variables, n, z)
        truth |= {f"z_{n}": np.asarray(z), f"y_{n}": np.asarray(y)}
    ours = our_step(row, model, variables, batch)
    sides: dict[str, Callable[[], Seconds]] = {"ours": partial(timed, ours)}
    if torch:
        sides["PyTorch"] = partial(timed, torch_step(row, variables, batch, truth))
    with tempfile.TemporaryDirectory() as folder:
        if keras is not None:
            path = Path(folder, "arrays.npz")
            np.savez(path, **batch, **truth, **keras_arrays(variables))
            sides["Keras, XLA"] = keras.make("Keras, XLA", row, path, jit=True)
            sides["Keras"] = keras.make("Keras", row, path, jit=False)
    compiled = {side: run()[1] for side, run in sides.items()}
    times: dict[str, list[Seconds]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            times[side].append(run())
    return [line(row, side, times[side], times["ours"], compiled[side]) for side in sides]


def line(row: str, side: str, seconds: list[Seconds], ours: list[Seconds], compiled: float) -> str:
    """One side of a row: milliseconds, and how many times as long as ours."""
    processor, wall = (statistics.median(s[i] for s in seconds) * 1e3 for i in (0, 1))
    ratios = [statistics.median(t[i] / o[i] for t, o in zip(seconds, ours)) for i in (0, 1)]
    return (
        f"{row:8s} {side:12s} {processor:9.0f} {wall:9.0f} {ratios[0]:9.2f} {ratios[1]:9.2f} "
        f"{compiled:9.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--infer_batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keras", metavar="PYTHON", help="of an environment with TensorFlow")
    parser.add_argument("--no_torch", action="store_true")
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    if not args.no_torch:
        import torch

        torch.set_num_threads(args.threads)
    keras = Keras(args.keras, args.threads) if args.keras else None
    print(f"batch {args.batch} ({args.infer_batch} to infer), {args.threads} threads")
    print("row      side            CPU ms   wall ms  CPU/ours wall/ours compile s")
    try:
        for row in (args.row,) if args.row else ROWS:
            rows = args.infer_batch if row == "infer" else args.batch
            for text in measure(row, rows, args.rounds, keras, not args.no_torch):
                print(text, flush=True)
    finally:
        if keras is not None:
            keras.stop()


if __name__ == "__main__":
    main()
