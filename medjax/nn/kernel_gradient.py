"""The gradient of a convolution's kernel in a form that is fast on CPU."""

import math
from collections.abc import Sequence
from itertools import product

import jax
import jax.numpy as jnp

CHUNKS, CHUNK_POSITIONS = 4, 4096
"""The batch is taken in at most so many parts, each of at least so many output positions: what a
part reads then stays in the processor's cache. More parts gain little and cost compile time."""

Sides = Sequence[tuple[int, int]]


def kernel_gradient(
    x: jax.Array, dy: jax.Array, size: Sequence[int], strides: Sequence[int], padding: Sides
) -> jax.Array:
    """Return the gradient [*size, in, out] of an undilated, ungrouped convolution's kernel.

    It is itself a convolution, of x [batch, *spatial, in] with the gradient of the output
    dy [batch, *positions, out] as a kernel as large as the map, which XLA's CPU kernels run at a
    third of the speed of a forward one. Here the taps of all axes but the last become rows of a
    one-dimensional convolution along the last axis, and all other positions its channels: the same
    sum as one matrix product whose operands lie contiguously. A stride along the last axis is
    taken apart into its phases, so that no kernel is dilated.
    """
    if _worth_swapping(x, dy, size, strides, padding):
        mirrored = [(n - 1 - low, n - 1 - high) for n, (low, high) in zip(size, padding)]
        taps = _kernel_gradient(dy, x, size, strides, mirrored)
        return jnp.flip(taps, range(len(size))).swapaxes(-1, -2)
    return _kernel_gradient(x, dy, size, strides, padding)


def _worth_swapping(
    x: jax.Array, dy: jax.Array, size: Sequence[int], strides: Sequence[int], padding: Sides
) -> bool:
    """Whether to shift dy against x instead: shifted copies are made of the narrower one."""
    inside = all(max(sides) < n for n, sides in zip(size, padding))
    return set(strides) == {1} and inside and x.shape[-1] > dy.shape[-1]


def _kernel_gradient(
    x: jax.Array, dy: jax.Array, size: Sequence[int], strides: Sequence[int], padding: Sides
) -> jax.Array:
    positions = math.prod(dy.shape[:-1])
    limit = min(CHUNKS, positions // CHUNK_POSITIONS)
    chunks = max(n for n in range(1, max(limit, 1) + 1) if x.shape[0] % n == 0)
    parts = zip(jnp.split(x, chunks), jnp.split(dy, chunks))
    total = sum(_part(x, dy, size, strides, padding) for x, dy in parts)
    return jnp.asarray(total).astype(x.dtype)


def _part(
    x: jax.Array, dy: jax.Array, size: Sequence[int], strides: Sequence[int], padding: Sides
) -> jax.Array:
    """Return the gradient over a part of the batch, in float32 or wider."""
    axes, inputs, outputs = len(size), x.shape[-1], dy.shape[-1]
    # [in, last axis, batch, other axes]: the taps' slices then only shorten the other axes.
    padded = jnp.pad(x, ((0, 0), *((max(low, 0), max(high, 0)) for low, high in padding), (0, 0)))
    turned = padded.transpose(axes + 1, axes, 0, *range(1, axes))
    spans = [stride * (n - 1) + 1 for stride, n in zip(strides, dy.shape[1:-1])]
    rows = []
    for tap in product(*map(range, size[:-1])):
        cut = [slice(t, t + span, step) for t, span, step in zip(tap, spans, strides)]
        rows.append(turned[:, :, :, *cut].reshape(inputs, turned.shape[1], -1))
    stacked = jnp.concatenate(rows)
    kernel = dy.transpose(axes, 0, *range(1, axes), axes + 1)
    kernel = kernel.reshape(dy.shape[-2], -1, outputs)

    width, stride = size[-1], strides[-1]
    taps: dict[int, jax.Array] = {}
    for phase in range(min(stride, width)):
        count = len(range(phase, width, stride))
        reach = spans[-1] + stride * (count - 1)
        columns = jax.lax.conv_general_dilated(
            stacked[:, phase : phase + reach : stride],
            kernel,
            (1,),
            "VALID",
            dimension_numbers=("NWC", "WIO", "NWC"),
            preferred_element_type=jnp.promote_types(x.dtype, jnp.float32),
        )
        taps |= {phase + stride * index: columns[:, index] for index in range(count)}
    gradient = jnp.stack([taps[index] for index in range(width)], axis=1)
    gradient = gradient.reshape(*size[:-1], inputs, width, outputs)
    return gradient.swapaxes(-2, -3)
