"""MedKLIP beside the same network in PyTorch, alternated in one process.

    python -m tests.bench.medklip [--row=pretrain|zero_shot] [--batch=4] [--infer_batch=16]
        [--size=224] [--threads=2] [--rounds=5]

"pretrain": a step of the published network (ResNet-50 to its third stage, four decoder layers, 75
queries) with both losses, dropout and AdamW; "zero_shot": existence and attention of a batch of
films. Both sides read the same vectors of descriptions and positions, made beforehand: no text
encoder runs in a step. They get the same weights and films, and logits, positions and attention in
evaluation are compared before anything is timed. Ours is one jitted function a step, PyTorch runs
eagerly. Processor seconds tell more than wall seconds on a busy machine; ratios are medians over
the rounds of PyTorch / ours, above 1 where ours is faster.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from medjax.nn.torch_names import to_torch
from medjax.run.optim import make_optimizer
from medjax.systems.medklip.decoder import Decoder
from medjax.systems.medklip.encoder import ImageEncoder
from medjax.systems.medklip.model import MedKLIP
from medjax.systems.medklip.names import medklip_layers
from medjax.systems.medklip.network import init_model
from medjax.systems.medklip.pretraining_loss import Weights, make_loss, read
from tests.bench.processes import timed

QUERIES, POSITIONS, TEXT, CANDIDATES = 75, 51, 768, 8
RATE, DECAY, TOLERANCE = 1e-4, 0.02, 1e-3
ROWS = ("pretrain", "zero_shot")
BOOKS = ("entity_book", "position_book")
Step = Callable[[], Any]


def make_batch(rows: int, size: int) -> dict[str, np.ndarray]:
    """Return random films, a third of their entities known, and books."""
    generator = np.random.default_rng(0)
    positions = generator.permuted(np.tile(np.arange(POSITIONS), (rows, QUERIES, 1)), axis=-1)
    return {
        "image": generator.normal(size=(rows, size, size, 3)).astype(np.float32),
        "labels": generator.choice([-1, -1, -1, -1, 0, 1], (rows, QUERIES)).astype(np.float32),
        "position_index": positions[..., :CANDIDATES].astype(np.int32),
        "mask": np.ones(rows, bool),
        "entity_book": generator.normal(size=(QUERIES, TEXT)).astype(np.float32),
        "position_book": generator.normal(size=(POSITIONS, TEXT)).astype(np.float32),
    }


def our_step(row: str, model: MedKLIP, variables: Mapping, batch: Mapping) -> Step:
    """Return a function that makes one step, or reads the batch."""
    given = jax.tree.map(jnp.asarray, dict(batch))
    if row == "zero_shot":
        reading = jax.jit(our_reading(model))
        return lambda: jax.block_until_ready(reading(variables, given))
    options = ConfigDict({"name": "adamw", "learning_rate": RATE, "b1": 0.9, "b2": 0.999})
    options.update({"eps": 1e-8, "weight_decay": DECAY, "decay_rule": "matrices"})
    options.update({"clip_norm": 0.0, "schedule": "constant"})
    optimizer, loss = make_optimizer(options, 100), make_loss(model, Weights())

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params, statistics_, state, key):
        key, used = jax.random.split(key)
        of = jax.value_and_grad(
            lambda p: loss({"params": p, **statistics_}, given, used, 0), has_aux=True
        )
        (value, aux), gradient = of(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), aux.mutable, state, key, value

    params = jax.tree.map(jnp.copy, variables["params"])
    statistics_ = {k: jax.tree.map(jnp.copy, v) for k, v in variables.items() if k != "params"}
    held = [params, statistics_, optimizer.init(params), jax.random.key(1)]

    def run() -> float:
        *held[:], value = step(*held)
        return float(value)

    return run


def our_reading(model: MedKLIP) -> Callable[[Mapping, Mapping], tuple]:
    """Return what reads a batch: probability of existence, attention of the layers."""

    def reading(variables: Mapping, batch: Mapping) -> tuple:
        found, _ = read(model, variables, batch, jax.random.key(0), train=False)
        return jax.nn.softmax(found.logits)[..., 1], found.attention

    return reading


def their_step(row: str, weights: Mapping[str, np.ndarray], batch: Mapping, truth: Any) -> Step:
    """Return the same in PyTorch; stop where it does not compute the same."""
    import torch

    from tests.bench import torch_medklip as twin

    network = twin.MedKLIP()
    network.load_state_dict({n: torch.tensor(np.array(w)) for n, w in weights.items()})
    image = torch.tensor(np.moveaxis(batch["image"], -1, 1).copy())
    book, positions = (torch.tensor(batch[name]) for name in BOOKS)
    labels, index = torch.tensor(batch["labels"]), torch.tensor(batch["position_index"]).long()
    network.eval()

    def reading() -> tuple:
        with torch.no_grad():
            logits, position, attention = network(image, book)
            return torch.softmax(logits, -1)[..., 1], torch.stack(attention), logits, position

    _, attention, logits, position = reading()
    shown = {"logits": logits, "position": position, "attention": attention}
    for name, theirs in shown.items():
        worst = float(np.abs(np.asarray(getattr(truth, name)) - theirs.numpy()).max())
        if worst > TOLERANCE:
            sys.exit(f"{name} of the two networks differ by {worst:.2g}: nothing is timed")
    if row == "zero_shot":
        return reading
    network.train()
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, RATE)

    def step() -> float:
        logits, position, _ = network(image, book)
        loss = twin.losses(logits, position, labels, positions, index)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def measure(row: str, rows: int, size: int, rounds: int) -> str:
    """Return a line of the table."""
    batch, model = make_batch(rows, size), MedKLIP(ImageEncoder(image_size=size), Decoder())
    variables = jax.jit(partial(init_model, model))(jax.random.key(0), batch)
    truth, _ = jax.jit(partial(read, model, train=False))(variables, batch, jax.random.key(0))
    weights = to_torch(medklip_layers(), jax.tree.map(np.asarray, variables))
    theirs = their_step(row, weights, batch, truth)
    ours = our_step(row, model, variables, batch)
    compiled = timed(ours)[1]
    timed(theirs)
    pairs = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    cells = [
        statistics.median(values)
        for values in (
            [o[0] * 1e3 for o, _ in pairs],
            [t[0] * 1e3 for _, t in pairs],
            [t[0] / o[0] for o, t in pairs],
            [t[1] / o[1] for o, t in pairs],
        )
    ]
    numbers = "{:9.0f} {:9.0f} {:10.2f} {:10.2f}".format(*cells)
    return f"{row:9s} {numbers} {compiled:9.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--infer_batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    import torch

    torch.set_num_threads(args.threads)
    print(
        f"{args.size}x{args.size}, batch {args.batch} ({args.infer_batch} to read), "
        f"{args.threads} threads, {args.rounds} rounds"
    )
    print("row         ours ms  torch ms  ratio CPU ratio wall  compile s")
    for row in (args.row,) if args.row else ROWS:
        rows = args.batch if row == "pretrain" else args.infer_batch
        print(measure(row, rows, args.size, args.rounds), flush=True)


if __name__ == "__main__":
    main()
