"""Model variables drawn by NumPy: tests that need any weights spare XLA the compilation of init."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def draw_variables(init: Callable[[jax.Array], Any], seed: int = 0) -> Any:
    """Return variables of the shapes that init(key) has: small normal numbers, variances near 1."""
    generator = np.random.default_rng(seed)
    shapes = jax.eval_shape(init, jax.random.key(0))

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        values = generator.normal(0, 0.3, leaf.shape).astype(leaf.dtype)
        return 1 + np.abs(values) if path[-1].key in ("var", "scale") else values

    return jax.tree_util.tree_map_with_path(draw, shapes)
