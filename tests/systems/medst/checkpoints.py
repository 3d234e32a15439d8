"""Made-up checkpoints of MedST and MGCA, of the sizes of the smoke run and a tiny BERT's words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medjax.systems.medst.convert import idle, shapes
from medjax.systems.medst.recognise import RECIPE
from medjax.weights.files import write_weights

BERT = Path(__file__).parents[2] / "weights" / "recorded" / "tiny_bert"
SIDE = 32
"""Pixels of a film."""
TEXT = {"width": 16, "heads": 2, "feedforward": 24, "max_positions": 20, "layers": 1}
"""Of the text encoder, the BERT's but for its second layer."""
SIZES = {
    "backbone": "vit_pico_patch8",
    "image_size": SIDE,
    "dim": 8,
    "head_hidden": 16,
    "prototypes": 5,
    "text_layers": 1,
    "text_width": 16,
    "text_feedforward": 24,
    "max_positions": 20,
}


def model_of(method: str, vocabulary: int = 43) -> dict[str, Any]:
    """Return the description of a checkpoint; vocabulary: tokens, the BERT's by default."""
    return RECIPE | SIZES | {"method": method, "vocabulary": vocabulary}


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int = 3) -> dict[str, np.ndarray]:
    """Return weights of these names and shapes: scales and variances near 1, others near 0."""
    generator = np.random.default_rng(seed)
    found = {}
    for name, shape in shapes.items():
        around = float(name.endswith((".weight", "running_var")) and len(shape) == 1)
        found[name] = np.asarray(generator.normal(around, 0.3, shape), np.float32)
        if name.endswith("running_var"):
            found[name] = np.abs(found[name])
        if name.endswith("num_batches_tracked"):
            found[name] = np.array(7, np.int64)
    return found


def write_checkpoint(
    folder: Path, method: str, vocabulary: int = 43
) -> tuple[Path, dict[str, np.ndarray]]:
    """Write a checkpoint as Lightning does, its arrays in any order; return it and them."""
    model, file = model_of(method, vocabulary), folder / f"{method}.ckpt"
    unread = {name: np.asarray(array + 1) for name, array in idle(model).items()}
    tensors = drawn(shapes(model)) | unread
    names = np.random.default_rng(1).permutation(list(tensors))
    tensors = {str(name): tensors[str(name)] for name in names}
    extra = {"epoch": 3, "pytorch-lightning_version": "1.5.10"}
    write_weights(file, tensors, extra, "state_dict")
    return file, tensors
