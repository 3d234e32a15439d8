"""Convolutions and their gradients beside XLA's own and PyTorch's, alternated in one process.

    python -m tests.bench.convolution [--threads=1] [--rounds=5]

Prints, layer by layer, the milliseconds of processor time (the least of the rounds) of the forward
convolution and of both gradients: ours, XLA's plain convolution, PyTorch. The shapes are those of
ResNet-34 and DenseNet-121 at 224 pixels and batch 16, of a 3-D network and of transposed layers.
Gradients of ours and XLA's are compared first; where they differ nothing is timed.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from medjax.nn.conv_transpose import conv_transpose
from medjax.nn.convolution import conv

SIDES = ("ours", "XLA", "PyTorch")


class Layer(NamedTuple):
    """A layer padded by so much on every side; input [batch, *spatial, channels]."""

    name: str
    shape: tuple[int, ...]
    features: int
    size: int
    stride: int
    padding: int
    transposed: bool = False


LAYERS = (
    Layer("stem 7x7/2", (16, 224, 224, 3), 64, 7, 2, 3),
    Layer("stage 1", (16, 56, 56, 64), 64, 3, 1, 1),
    Layer("stage 2, first", (16, 56, 56, 64), 128, 3, 2, 1),
    Layer("stage 2", (16, 28, 28, 128), 128, 3, 1, 1),
    Layer("stage 3", (16, 14, 14, 256), 256, 3, 1, 1),
    Layer("stage 4", (16, 7, 7, 512), 512, 3, 1, 1),
    Layer("DenseNet block 1", (16, 56, 56, 128), 32, 3, 1, 1),
    Layer("DenseNet block 3", (16, 14, 14, 128), 32, 3, 1, 1),
    Layer("3-D", (1, 24, 24, 12, 32), 16, 3, 1, 1),
    Layer("1-D 5", (32, 300, 64), 128, 5, 1, 2),
    Layer("1-D 71", (32, 600, 12), 64, 71, 1, 35),
    Layer("1-D 17/2", (32, 512, 64), 128, 17, 2, 8),
    Layer("transposed 1-D 8/2", (32, 150, 128), 64, 8, 2, 3, transposed=True),
    Layer("transposed 2-D 2/2", (8, 28, 28, 128), 64, 2, 2, 0, transposed=True),
    Layer("transposed 2-D 4/2", (8, 28, 28, 128), 64, 4, 2, 1, transposed=True),
)


def ours(layer: Layer) -> Callable:
    """Return our function of input and kernel."""
    if layer.transposed:
        return lambda x, kernel: conv_transpose(x, kernel, layer.stride, layer.padding)
    return lambda x, kernel: conv(x, kernel, layer.stride, layer.padding)


def plain(layer: Layer) -> Callable:
    """Return XLA's function of input and kernel."""
    axes = len(layer.shape) - 2
    spatial = "DHW"[-axes:]
    names = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    stride, ones = (layer.stride,) * axes, (1,) * axes
    if layer.transposed:
        low = layer.size - 1 - layer.padding

        def transposed(x: jax.Array, kernel: jax.Array) -> jax.Array:
            mirrored = jnp.flip(kernel, range(axes))
            return jax.lax.conv_general_dilated(
                x, mirrored, ones, [(low, low)] * axes, lhs_dilation=stride, dimension_numbers=names
            )

        return transposed
    sides = [(layer.padding,) * 2] * axes
    return lambda x, kernel: jax.lax.conv_general_dilated(
        x, kernel, stride, sides, dimension_numbers=names
    )


def jax_passes(function: Callable, *arrays: np.ndarray) -> tuple[Callable, Callable]:
    """Return the compiled forward pass and the passes for both gradients, without arguments."""
    x, kernel, dy = (jnp.asarray(a) for a in arrays)
    forward = jax.jit(function)
    backward = jax.jit(lambda x, kernel, dy: jax.vjp(function, x, kernel)[1](dy))
    return (
        lambda: jax.block_until_ready(forward(x, kernel)),
        lambda: jax.block_until_ready(backward(x, kernel, dy)),
    )


def torch_passes(layer: Layer, *arrays: np.ndarray) -> tuple[Callable, Callable]:
    """Return PyTorch's passes; kernels are [out, in, *size], transposed [in, out, *size]."""
    import torch

    axes = len(layer.shape) - 2
    spatial, ends = range(1, axes + 1), (axes, axes + 1) if layer.transposed else (axes + 1, axes)
    orders = ((0, axes + 1, *spatial), (*ends, *range(axes)), (0, axes + 1, *spatial))
    turned = (a.transpose(order) for a, order in zip(arrays, orders))
    x, kernel, dy = (torch.tensor(np.ascontiguousarray(a)) for a in turned)
    stride, padding, none = ([n] * axes for n in (layer.stride, layer.padding, 0))

    def forward() -> torch.Tensor:
        return torch.ops.aten.convolution(
            x, kernel, None, stride, padding, [1] * axes, layer.transposed, none, 1
        )

    def backward() -> tuple:
        options = (None, stride, padding, [1] * axes, layer.transposed, none, 1)
        return torch.ops.aten.convolution_backward(dy, x, kernel, *options, [True, True, False])

    return forward, backward


def time_layer(layer: Layer, rounds: int) -> dict[str, list[float]]:
    """Return each side's least milliseconds of processor time, forward and gradients."""
    generator = np.random.default_rng(0)
    size = (layer.size,) * (len(layer.shape) - 2)
    x = generator.normal(size=layer.shape).astype(np.float32)
    kernel = generator.normal(size=(*size, layer.shape[-1], layer.features)).astype(np.float32)
    dy = generator.normal(size=jax.eval_shape(ours(layer), x, kernel).shape).astype(np.float32)
    passes = {
        "ours": jax_passes(ours(layer), x, kernel, dy),
        "XLA": jax_passes(plain(layer), x, kernel, dy),
        "PyTorch": torch_passes(layer, x, kernel, dy),
    }
    for a, b in zip(passes["ours"][1](), passes["XLA"][1]()):
        if not np.allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max()):
            raise SystemExit(f"{layer.name}: our gradients are not XLA's; nothing was timed")
    least = {side: [float("inf")] * 2 for side in SIDES}
    for _ in range(rounds + 1):
        for side, pair in passes.items():
            for index, run in enumerate(pair):
                start = time.process_time()
                run()
                seconds = 1000 * (time.process_time() - start)
                least[side][index] = min(least[side][index], seconds)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, processors[: options.threads])
    try:
        import torch
    except ImportError:
        sys.exit("this bench compares with PyTorch, which is missing: pip install medjax[bench]")
    torch.set_num_threads(options.threads)
    print(f"{'CPU-ms':20} {'forward':^26} {'gradients':^26}")
    print(f"{'layer':20}" + "".join(f"{side:>9}" for side in SIDES * 2))
    for layer in LAYERS:
        least = time_layer(layer, options.rounds)
        cells = (least[side][index] for index in (0, 1) for side in SIDES)
        print(f"{layer.name:20}" + "".join(f"{cell:9.1f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
