"""MedST beside the same network in PyTorch, alternated in one process.

    python -m tests.bench.medst [--row=train|half|films|reports] [--full] [--batch=8]
        [--infer_batch=16] [--threads=2] [--rounds=5] [--explicit]

"train": a training step of both encoders with all three losses and AdamW, every row with a lateral
film; "half": the same where half of the rows have none, which ours leaves out and PyTorch masks, as
the original does; "films" and "reports": embeddings of films seen alone, of reports. The middle
size is a transformer of width 384 and six layers beside a text encoder of the same; --full is the
published network. Both sides get the same weights, films and texts, and the losses in evaluation
are compared before anything is timed. Ours is the step of a run, one jitted function; PyTorch (of
the extra `bench`) runs eagerly, with the fused AdamW and, unless --explicit asks for the original's
steps, the fused attention. Processor seconds tell more than wall seconds on a busy machine; ratios
are medians over the rounds of PyTorch / ours, above 1 where ours is faster.
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
from ml_collections import ConfigDict

from medjax.nn.bert import BertConfig
from medjax.nn.torch_names import to_torch
from medjax.nn.vit import ViTConfig
from medjax.run.memory import keep_freed_memory
from medjax.run.optim import make_optimizer
from medjax.run.step import init_state, make_train_step
from medjax.run.system import Aux, System
from medjax.systems.medst.names import network_layers
from medjax.systems.medst.networks.model import Films, MedST
from medjax.systems.medst.networks.of_stage import (
    film_embeddings,
    films_in,
    mutable_of,
    normalised,
    text_embeddings,
    tokens_in,
)
from medjax.systems.medst.networks.text_encoder import Tokens
from medjax.systems.medst.pretraining.loss import PretrainingOptions, Rows, medst_losses, total
from medjax.systems.medst.pretraining.updates import make_update
from tests.bench.processes import timed

ROWS = ("train", "half", "films", "reports")
TOKENS, SIDE, RATE, DECAY, TOLERANCE = 112, 224, 4e-5, 0.05, 2e-3
MIDDLE = {"width": 384, "layers": 6, "heads": 6, "text_width": 384, "text_heads": 6}
Step = Callable[[], Any]


def make_model(sizes: Any) -> MedST:
    """Return our network of the sizes of the twin."""
    image = ViTConfig(SIDE, sizes.patch, sizes.width, sizes.layers, sizes.heads)
    bert = BertConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.text_width,
        num_hidden_layers=sizes.text_layers,
        num_attention_heads=sizes.text_heads,
        intermediate_size=4 * sizes.text_width,
        max_position_embeddings=sizes.positions,
        type_vocab_size=0,
    )
    return MedST(image, bert_config=bert, hidden=sizes.hidden, dim=sizes.dim)


def make_batch(rows: int, laterals: int, vocabulary: int) -> dict[str, np.ndarray]:
    """Return random films, the first of them with lateral ones, and texts of 30 to 110 tokens."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(30, TOKENS - 2, (rows, 1))
    place = np.arange(TOKENS)
    mask = place < lengths
    begins = generator.random((rows, TOKENS)) < 0.8
    begins[:, :2] = True
    return {
        "image": generator.integers(0, 256, (rows, SIDE, SIDE, 1), np.uint8),
        "lateral": generator.integers(0, 256, (laterals, SIDE, SIDE, 1), np.uint8),
        "has_lateral": np.ones(laterals, bool),
        "caption_ids": np.where(mask, generator.integers(5, vocabulary, mask.shape), 0),
        "caption_mask": mask,
        "caption_words": np.where(mask, begins.cumsum(1) - 1, -1).astype(np.int32),
        "study": np.arange(rows),
        "sequence": np.arange(rows) // 4,
        "step": np.arange(rows) % 4,
        "mask": np.ones(rows, bool),
    }


def losses_of(out: Any, batch: Mapping) -> dict[str, jax.Array]:
    """Return the three losses of a batch."""
    rows = Rows(batch["study"], batch["mask"], batch["sequence"], batch["step"])
    return medst_losses(out, rows, PretrainingOptions())


def our_step(row: str, model: MedST, variables: Mapping, batch: Mapping) -> Step:
    """Return a function that makes one step of a run, or embeds the batch."""
    given = jax.tree.map(jnp.asarray, dict(batch))
    if row == "films":
        films = jax.jit(partial(film_embeddings, model))
        return lambda: jax.block_until_ready(films(variables, given["image"]))
    if row == "reports":
        texts = jax.jit(partial(text_embeddings, model))
        return lambda: jax.block_until_ready(texts(variables, tokens_in(given)))
    options = ConfigDict({"name": "adamw", "learning_rate": RATE, "b1": 0.9, "b2": 0.999})
    options.update({"eps": 1e-8, "weight_decay": DECAY, "decay_rule": "all"})
    options.update({"clip_norm": 0.0, "schedule": "constant", "momentum": 0.0})

    def loss(variables: Mapping, batch: Mapping, key: jax.Array, step: jax.Array) -> Any:
        del step
        out: Any
        out, mutable = model.apply(
            variables,
            films_in(batch),
            tokens_in(batch),
            batch["mask"],
            train=True,
            rngs={"dropout": key},
            mutable=mutable_of(variables),
        )
        return total(losses_of(out, batch), (1.0, 1.0, 1.0)), Aux(mutable, {})

    nothing: Any = None
    update = make_update(loss, make_optimizer(options, 100))
    system = System(*(nothing,) * 7)._replace(updates=(update,))
    step = jax.jit(make_train_step(system), donate_argnums=0)
    held = [init_state(system, jax.tree.map(jnp.copy, dict(variables)), jax.random.key(1))]

    def run() -> float:
        held[0], scalars = step(held[0], given)
        return float(scalars["loss"])

    return run


def their_step(
    row: str, sizes: Any, explicit: bool, weights: Mapping, batch: Mapping, truth: np.ndarray
) -> Step:
    """Return the same in PyTorch; stop where it does not compute the same."""
    import torch

    from tests.bench import torch_medst as twin

    network = twin.MedST(sizes, explicit)
    given = {n: torch.tensor(np.array(w)).reshape(network.state_dict()[n].shape)
             for n, w in weights.items()}  # fmt: skip
    network.load_state_dict(given)
    rows = len(batch["image"])
    has = np.arange(rows) < len(batch["lateral"])
    lateral = np.zeros((rows, *batch["image"].shape[1:]), np.uint8)
    lateral[has] = batch["lateral"]

    def films(images: np.ndarray, there: np.ndarray | None = None) -> torch.Tensor:
        shown = normalised(images, there)
        return torch.tensor(np.moveaxis(np.asarray(shown), -1, 1).copy())

    frontal = films(batch["image"])
    there = torch.tensor(has) if has.any() else None
    read = [torch.tensor(np.array(batch[f"caption_{n}"])) for n in ("ids", "mask", "words")]
    whole = twin.Batch(frontal, films(lateral, has) if has.any() else None, there, *read)
    network.eval()

    def embed() -> Any:
        with torch.inference_mode():
            return network.films(frontal) if row == "films" else network.reports(*read[:2])

    def compare() -> np.ndarray:
        with torch.inference_mode():
            return torch.stack(network(whole)).numpy()

    theirs = embed().numpy() if row in ("films", "reports") else compare()
    worst = float(np.abs(theirs - truth).max() / np.abs(truth).max())
    if not worst < TOLERANCE:
        sys.exit(f"{row}: the two networks differ by {worst:.2g} ({theirs}, {truth})")
    if row in ("films", "reports"):
        return embed
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY, fused=True)

    def step() -> float:
        loss = sum(network(whole))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def measure(row: str, sizes: Any, args: argparse.Namespace) -> str:
    """Return a line of the table."""
    trains = row in ("train", "half")
    rows = args.batch if trains else args.infer_batch
    laterals = {"train": rows, "half": rows // 2}.get(row, 0)
    batch, model = make_batch(rows, laterals, sizes.vocabulary), make_model(sizes)
    one = np.zeros((1, SIDE, SIDE, 3), np.float32)
    ids = np.zeros((1, TOKENS), np.int32)
    init = partial(model.init, films=Films(one, one, np.ones(1, bool)),
                   tokens=Tokens(ids, ids >= 0, ids), train=False)  # fmt: skip
    variables = jax.jit(lambda key: init(key))(jax.random.key(0))
    if trains:
        read = jax.jit(partial(model.apply, train=False))
        out = read(variables, films_in(batch), tokens_in(batch), batch["mask"])
        truth = np.stack([np.asarray(x) for x in losses_of(out, batch).values()])
    else:
        truth = np.asarray(our_step(row, model, variables, batch)())
    table = network_layers(ViTConfig(layers=sizes.layers), sizes.text_layers)
    weights = to_torch(table, jax.tree.map(np.asarray, variables))
    theirs = their_step(row, sizes, args.explicit, weights, batch, truth)
    ours = our_step(row, model, variables, batch)
    del variables, weights
    compiled = timed(ours)[1]
    timed(theirs)
    pairs = [(timed(ours), timed(theirs)) for _ in range(args.rounds)]
    ratios = [sorted(t[i] / o[i] for o, t in pairs) for i in (0, 1)]
    cells = [statistics.median(pair[side][i] for pair in pairs) for side in (0, 1) for i in (0, 1)]
    numbers = " ".join(f"{1e3 * cell:9.0f}" for cell in cells)
    found = " ".join(f"{statistics.median(r):6.2f} ({r[0]:.2f}-{r[-1]:.2f})" for r in ratios)
    return f"{row:8s} {numbers} {found} {rows / cells[1]:8.2f} {compiled:8.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--full", action="store_true", help="the published network")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--infer_batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--explicit", action="store_true", help="PyTorch's attention step by step")
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    keep_freed_memory()  # as a run does; it serves both sides
    import torch

    from tests.bench.torch_medst import Sizes

    torch.set_num_threads(args.threads)
    sizes = Sizes() if args.full else Sizes(**MIDDLE)
    print(
        f"width {sizes.width}, {sizes.layers} layers, batch {args.batch} ({args.infer_batch} to "
        f"embed), {args.threads} threads, {args.rounds} rounds, load {os.getloadavg()[0]:.1f}"
    )
    print(
        "row      our CPU ms   wall ms  their CPU   wall ms  ratio CPU          ratio wall        "
        "  ours/s  compile s"
    )
    for row in (args.row,) if args.row else ROWS:
        print(measure(row, sizes, args), flush=True)


if __name__ == "__main__":
    main()
