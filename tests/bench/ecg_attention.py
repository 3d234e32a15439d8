"""The ECG dual-attention network beside the same network in PyTorch, alternated in one process.

    python -m tests.bench.ecg_attention [--row=pretrain|risk|encode] [--batch=128] [--steps=608]
        [--threads=2] [--rounds=5]

"pretrain": reconstruction and cosine alignment, AdamW; "risk": Cox loss and reconstruction, AdamW
with clipping; "encode": inference of the encoder. Both sides get the same weights and batch; before
anything is timed their outputs without dropout are compared. Dropout is on in training. Ours is
one jitted function a step, PyTorch runs eagerly. Processor seconds tell more than wall seconds on a
busy machine; ratios are medians over the rounds of PyTorch / ours, above 1 where ours is faster.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from medjax.nn.torch_names import to_torch
from medjax.systems.ecg_attention.convert import RECIPE, UNTOLD, layers
from medjax.systems.ecg_attention.heads import Head, Projector
from medjax.systems.ecg_attention.model import make_network

TEXT = 768
OPTIONS = {**UNTOLD, **RECIPE, "network": "dual_attention", "dropout_placement": "uniform"}
MODEL = {**RECIPE, "network": "dual_attention", "prefix": ""}
ROWS = ("pretrain", "risk", "encode")
Step = Callable[[], Any]


def make_batch(rows: int, steps: int) -> dict[str, np.ndarray]:
    """Return a random batch."""
    generator = np.random.default_rng(0)
    signal = generator.normal(size=(rows, 12, steps)).astype(np.float32)
    return {
        "signal": signal,
        "text": generator.normal(size=(rows, TEXT)).astype(np.float32),
        "time": generator.uniform(1, 100, rows).astype(np.float32),
        "event": (np.arange(rows) % 4 == 0).astype(np.float32),
    }


def our_loss(row: str, options: dict[str, Any]) -> tuple[Callable, Callable]:
    """Return (init of all variables, loss of (params, statistics, batch, key))."""
    network, head = make_network(options), Head(3, 1)
    projector = Projector(256, 128)

    def init(batch: dict[str, np.ndarray]) -> dict[str, Any]:
        key = jax.random.key(0)
        made = network.init(key, batch["signal"][:1])
        params = dict(made["params"])
        statistics_ = dict(made["batch_stats"])
        z = jnp.zeros((2, OPTIONS["latent_dim"]))
        if row == "risk":
            of_head = head.init(key, z, None, train=False)
            params["head"], statistics_["head"] = of_head["params"], of_head["batch_stats"]
        if row == "pretrain":
            params["ecg_projector"] = projector.init(key, z)["params"]
            params["text_projector"] = projector.init(key, batch["text"][:1])["params"]
        return {"params": params, "batch_stats": statistics_}

    def loss(params, statistics_, batch, key):
        own = {
            k: {n: t[n] for n in ("encoder", "decoder")}
            for k, t in (("params", params), ("batch_stats", statistics_))
        }
        valid = jnp.ones(len(batch["signal"]), bool)
        (recon, code), moved = network.apply(
            own,
            batch["signal"],
            None,
            valid,
            train=True,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        statistics_ = {**statistics_, **moved["batch_stats"]}
        mse = jnp.square(recon - batch["signal"]).mean()
        if row == "pretrain":
            sides = [
                projector.apply({"params": params[f"{n}_projector"]}, x)
                for n, x in (("ecg", code.z), ("text", batch["text"]))
            ]
            first, second = (s / jnp.linalg.norm(s, axis=1, keepdims=True) for s in sides)
            return mse + (1 - (first * second).sum(1)).mean(), statistics_
        variables = {"params": params["head"], "batch_stats": statistics_["head"]}
        score, of_head = head.apply(
            variables, code.z, valid, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
        )
        statistics_["head"] = of_head["batch_stats"]
        at_risk = batch["time"][None] >= batch["time"][:, None]
        total = jax.nn.logsumexp(jnp.where(at_risk, score[:, 0][None], -jnp.inf), axis=1)
        cox = -(batch["event"] * (score[:, 0] - total)).sum() / batch["event"].sum()
        return 0.5 * cox + 0.5 * mse, statistics_

    return init, loss


def our_step(row: str, variables: dict[str, Any], batch: dict[str, np.ndarray]) -> Step:
    """Return a function that makes one step, or encodes the batch."""
    given = jax.tree.map(jnp.asarray, batch)
    if row == "encode":
        network = make_network(OPTIONS)
        encode = jax.jit(lambda v, x: network.apply(v, x, method="encode").z)
        return lambda: jax.block_until_ready(encode(variables, given["signal"]))
    _, loss = our_loss(row, OPTIONS)
    optimizer = optax.adamw(1e-3, b2=0.95, weight_decay=0.01)
    if row == "risk":
        optimizer = optax.chain(optax.clip_by_global_norm(100.0), optimizer)

    @jax.jit
    def step(params, statistics_, state, key):
        key, used = jax.random.split(key)
        grad = jax.value_and_grad(loss, has_aux=True)
        (value, statistics_), gradient = grad(params, statistics_, given, used)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), statistics_, state, key, value

    params = variables["params"]
    held = [params, variables["batch_stats"], optimizer.init(params), jax.random.key(1)]

    def run() -> float:
        *held[:], value = step(*held)
        return float(value)

    return run


def their_step(row: str, weights: dict[str, np.ndarray], batch: dict[str, np.ndarray]):
    """Return (step, network in PyTorch with these weights)."""
    import torch
    from torch.nn import functional

    from tests.bench import torch_ecg_attention as twin

    steps, latent = batch["signal"].shape[-1], OPTIONS["latent_dim"]
    sizes = (12, steps, latent, OPTIONS["base_features"], OPTIONS["stem_channel_order"])
    network = twin.Autoencoder(*sizes)
    network.load_state_dict({n: torch.tensor(w) for n, w in weights.items()})
    given = {name: torch.tensor(array) for name, array in batch.items()}
    if row == "encode":
        network.eval()

        def encode() -> Any:
            with torch.no_grad():
                return network.encoder(given["signal"])

        return encode, network
    extra = [twin.RiskHead(latent, 3)]
    if row == "pretrain":
        extra = [twin.projector(latent), twin.projector(TEXT)]
    whole = torch.nn.ModuleList([network, *extra])
    optimizer = torch.optim.AdamW(whole.parameters(), 1e-3, (0.9, 0.95), weight_decay=0.01)

    def step() -> float:
        recon, z = network(given["signal"])
        loss = functional.mse_loss(recon, given["signal"])
        if row == "pretrain":
            sides = [m(x) for m, x in zip(extra, (z, given["text"]))]
            loss = loss + (1 - functional.cosine_similarity(*sides)).mean()
        else:
            loss = 0.5 * loss + 0.5 * twin.cox_loss(extra[0](z), given["time"], given["event"])
        optimizer.zero_grad()
        loss.backward()
        if row == "risk":
            torch.nn.utils.clip_grad_norm_(whole.parameters(), 100.0)
        optimizer.step()
        return loss.item()

    return step, network


def check_equal(network: Any, variables: dict[str, Any], batch: dict[str, np.ndarray]) -> None:
    """Stop where both sides do not give the same reconstruction in evaluation."""
    import torch

    own = {k: {n: t[n] for n in ("encoder", "decoder")} for k, t in variables.items()}
    rows = batch["signal"][:4]
    ours, _ = jax.jit(make_network(OPTIONS).apply)(own, rows)
    training = network.training
    with torch.no_grad():
        theirs = network.eval()(torch.tensor(rows))[0].numpy()
    network.train(training)
    worst = float(np.abs(ours - theirs).max())
    if worst > 1e-3:
        sys.exit(f"the two networks differ by {worst:.2g}: nothing is timed")


def timed(step: Step) -> tuple[float, float]:
    """Return processor and wall seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    step()
    return time.process_time() - processor, time.perf_counter() - wall


def measure(row: str, batch_size: int, steps: int, rounds: int) -> str:
    """Return a line of the table."""
    OPTIONS["time_steps"] = MODEL["time_steps"] = steps
    batch = make_batch(batch_size, steps)
    init, _ = our_loss(row, OPTIONS)
    variables = jax.jit(init)(batch)
    own = {k: {n: t[n] for n in ("encoder", "decoder")} for k, t in variables.items()}
    weights = to_torch(layers(MODEL | {"contrast": []}), jax.tree.map(np.asarray, own))
    theirs, network = their_step(row, weights, batch)
    check_equal(network, variables, batch)
    ours = our_step(row, own if row == "encode" else variables, batch)
    compiled = timed(ours)[1]
    timed(theirs)
    pairs = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    cells = [
        statistics.median(values)
        for values in (
            [o[0] for o, _ in pairs],
            [t[0] for _, t in pairs],
            [t[0] / o[0] for o, t in pairs],
            [t[1] / o[1] for o, t in pairs],
        )
    ]
    return (
        f"{row:9s} {cells[0] * 1e3:9.0f} {cells[1] * 1e3:9.0f} {cells[2]:10.2f} {cells[3]:10.2f} "
        f"{compiled:9.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=608)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    import torch

    torch.set_num_threads(args.threads)
    print(f"batch {args.batch}, {args.steps} samples, {args.threads} threads, {args.rounds} rounds")
    print("row         ours ms  torch ms  ratio CPU ratio wall  compile s")
    for row in (args.row,) if args.row else ROWS:
        print(measure(row, args.batch, args.steps, args.rounds), flush=True)


if __name__ == "__main__":
    main()
