"""Histogram equalisation of a film."""

import numpy as np


def equalize_histogram(pixels: np.ndarray, bins: int = 256) -> np.ndarray:
    """Return uint8 [height, width] with a flat histogram.

    Every pixel becomes the share of pixels below it: the cumulative histogram over the range of
    values, read linearly between the middles of the bins, times 255 and truncated
    (scikit-image's equalize_hist).
    """
    values = pixels / 255
    counts, edges = np.histogram(values.ravel(), bins=bins)
    cumulative = np.cumsum(counts)
    middles = (edges[:-1] + edges[1:]) / 2
    shares = np.interp(values.ravel(), middles, cumulative / cumulative[-1])
    return (255 * shares).reshape(pixels.shape).astype(np.uint8)
