"""Convolutions along one axis by wide kernels, through the frequencies of tiles.

A kernel of 71 samples costs 71 products a sample and pair of channels. Cut into tiles that overlap
by the kernel's width (overlap-save), transformed, multiplied frequency by frequency and transformed
back, it costs a fifth. The transforms are matrix products with sines and cosines, which at these
lengths are faster than fast Fourier transforms. They are taken about the middle of what they
transform, so that cosines see the sum of a signal and its mirror image alone, sines the difference:
half the work. Rounding is that of the direct sum.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

MOVED, MOVED_FAR, CACHE = 10, 40, 1 << 23
"""Products that take as long as moving one number in the processor's cache, or beyond it, and the
numbers that it holds; measured, as the way through frequencies moves more than the direct one."""
WORTH = 1.25
"""How many times shorter it must be."""


def best_tiles(batch: int, positions: int, size: int, inputs: int, outputs: int) -> tuple[int, int]:
    """Return (time in products, number of tiles) of the shortest way through frequencies."""

    def cost(tiles: int) -> int:
        tile = -(-positions // tiles)
        n = tile + size - 1
        frequencies, rows, pairs = n // 2 + 1, batch * tiles, inputs * outputs
        transforms = size * pairs + n * rows * inputs + tile * rows * outputs
        moved = 6 * n * rows * inputs + 8 * frequencies * rows * outputs
        products = frequencies * (transforms + 4 * rows * pairs)
        return products + (MOVED if moved < CACHE else MOVED_FAR) * moved

    return min((cost(tiles), tiles) for tiles in range(1, max(positions // 16, 1) + 1))


def is_worth(batch: int, positions: int, size: int, inputs: int, outputs: int) -> bool:
    """Tell whether a convolution of these sizes is faster through frequencies on CPU."""
    direct = batch * positions * size * inputs * outputs
    return direct > WORTH * best_tiles(batch, positions, size, inputs, outputs)[0]


def through_frequencies(x: jax.Array, kernel: jax.Array, padding: tuple[int, int]) -> jax.Array:
    """Convolve x [batch, time, in] with a kernel [size, in, out] at stride 1.

    padding: zeros before and after the signal, at least 0. Sums are in float32 or wider.
    """
    narrow, wide = x.dtype, jnp.promote_types(x.dtype, jnp.float32)
    x, kernel = x.astype(wide), kernel.astype(wide)
    batch, time, inputs = x.shape
    size, _, outputs = kernel.shape
    positions = time + sum(padding) - size + 1
    _, tiles = best_tiles(batch, positions, size, inputs, outputs)
    tile = -(-positions // tiles)
    n = tile + size - 1
    blocks = tiles + -(-n // tile) - 1
    filled = jnp.pad(x, ((0, 0), (padding[0], blocks * tile - time - padding[0]), (0, 0)))
    block = filled.reshape(batch, blocks, tile, inputs).transpose(2, 0, 1, 3)
    shifted = [block[:, :, i : i + tiles] for i in range(-(-n // tile))]
    cut = jnp.concatenate(shifted)[:n].reshape(n, -1, inputs)
    real, imaginary = _correlate(_analyse(cut, n), _analyse(kernel, n))
    y = _synthesise(real, imaginary, n, tile).reshape(tile, batch, tiles, outputs)
    return y.transpose(1, 2, 0, 3).reshape(batch, -1, outputs)[:, :positions].astype(narrow)


def _analyse(x: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """Return real and imaginary parts [n // 2 + 1, ...] of the transform of length n of x [m, ...].

    Time is counted from the middle of x.
    """
    m, rows = len(x), x.reshape(len(x), -1)
    half = m // 2
    first, last = rows[:half], rows[m - half :][::-1]
    even = jnp.concatenate([first + last, rows[half : m - half]])
    cos, sin = _waves(n, m)
    shape = (-1, *x.shape[1:])
    return (
        (jnp.asarray(cos, x.dtype) @ even).reshape(shape),
        (jnp.asarray(-sin, x.dtype) @ (first - last)).reshape(shape),
    )


def _correlate(
    x: tuple[jax.Array, jax.Array], kernel: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Multiply transforms [frequency, row, in] by conjugates of transforms [frequency, in, out].

    All four products of real and imaginary parts are one of matrices.
    """
    rows, outputs = x[0].shape[1], kernel[0].shape[2]
    left, right = jnp.concatenate(x, axis=1), jnp.concatenate(kernel, axis=2)
    every = jax.lax.dot_general(left, right, (((2,), (1,)), ((0,), (0,))))
    of_real, of_imaginary = every[:, :rows], every[:, rows:]
    return (
        of_real[..., :outputs] + of_imaginary[..., outputs:],
        of_imaginary[..., :outputs] - of_real[..., outputs:],
    )


def _synthesise(real: jax.Array, imaginary: jax.Array, n: int, m: int) -> jax.Array:
    """Return m samples [m, ...], counted from their middle, of the signal of length n.

    In a product the middles add up: that of n samples less that of a kernel of n - m + 1 is that of
    the m samples which the kernel's every shift fills.
    """
    cos, sin = _waves(n, m)
    weight = np.full((n // 2 + 1, 1), 2 / n)
    weight[0] /= 2
    if n % 2 == 0:
        weight[-1] /= 2
    even = (weight * cos).T.astype(real.dtype) @ real.reshape(len(real), -1)
    odd = -(weight * sin).T.astype(real.dtype) @ imaginary.reshape(len(real), -1)
    half = m // 2
    parts = [even[:half] + odd, even[half:], (even[:half] - odd)[::-1]]
    return jnp.concatenate(parts).reshape(m, *real.shape[1:])


def _waves(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines [n // 2 + 1, m - m // 2], sines [n // 2 + 1, m // 2] of the first half of m.

    Time is counted from the middle of all m.
    """
    angle = 2 * math.pi / n * np.outer(np.arange(n // 2 + 1), np.arange(m - m // 2) - (m - 1) / 2)
    return np.cos(angle), np.sin(angle[:, : m // 2])
