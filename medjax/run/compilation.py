"""How well XLA compiles: quickly, where a program runs once or hardly at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

QUICKLY: dict[str, Any] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def call_once(function: Callable, *arguments: Any) -> Any:
    """Return `function(*arguments)`, compiled quickly: for what runs once."""
    return jax.jit(function).lower(*arguments).compile(QUICKLY)(*arguments)


@contextmanager
def compile_quickly(wanted: bool) -> Iterator[None]:
    """Within the block compile all programs quickly rather than well, if `wanted`."""
    if not wanted:
        yield
        return
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
