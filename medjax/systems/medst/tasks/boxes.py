"""Boxes of a YOLO detector: what its maps should hold, what they say, and which are kept."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from medjax.losses.classification import sigmoid_cross_entropy
from medjax.losses.reduction import masked_mean
from medjax.precision import at_least_float32

ANCHORS = (
    ((116, 90), (156, 198), (373, 326)),
    ((30, 61), (62, 45), (59, 119)),
    ((10, 13), (16, 30), (33, 23)),
)
"""(width, height) in pixels of films of ANCHOR_SIDE, of each scale, the coarsest first."""
ANCHOR_SIDE = 416
STRIDES = (32, 16, 8)
"""Pixels of a cell of each scale."""


class BoxLoss(NamedTuple):
    """Weights of the loss; the defaults are the published ones."""

    box_weight: float = 2.5
    """Of place and size."""
    nothing_weight: float = 0.5
    """Of confidence where nothing is."""
    ignored_overlap: float = 0.5
    """A box overlapping an anchor by more is no evidence that there is nothing."""


class Targets(NamedTuple):
    """What the map of one scale should hold, [batch, anchor, row, column] each."""

    box: np.ndarray
    """1 where an anchor stands for a box."""
    nothing: np.ndarray
    """1 where there should be no confidence; as published also at an anchor that stands for a box
    and overlaps it by no more than `BoxLoss.ignored_overlap`."""
    x: np.ndarray
    """Of the box's centre, from the cell's left edge, in cells."""
    y: np.ndarray
    w: np.ndarray
    """Logarithm of the width in anchors' widths."""
    h: np.ndarray
    classes: np.ndarray
    """[batch, anchor, row, column, class]"""


class Parts(NamedTuple):
    """The loss of one scale; the parts are not weighted."""

    total: jax.Array
    x: jax.Array
    y: jax.Array
    w: jax.Array
    h: jax.Array
    confidence: jax.Array
    classes: jax.Array


def anchors_of(scale: int, side: int, cells: int) -> np.ndarray:
    """Return the anchors [anchor, 2] of a scale in cells, for films of `side` pixels."""
    return np.asarray(ANCHORS[scale], np.float64) * (cells / ANCHOR_SIDE)


def make_targets(
    boxes: np.ndarray,
    scale: int,
    side: int,
    cells: int,
    classes: int = 1,
    ignored_overlap: float = BoxLoss().ignored_overlap,
) -> Targets:
    """Assign boxes to the cells and anchors of one scale.

    Args:
        boxes: [batch, box, 5], class, centre x and y, width and height as shares of the film; rows
            of zeros are none. Of two boxes of one cell and anchor the later counts.
        scale: 0, the coarsest, to 2.
        side: of the films, pixels.
        cells: of the map, along each side.
        classes: number of classes.
        ignored_overlap: of `BoxLoss`.
    """
    anchors = anchors_of(scale, side, cells)
    shape = (len(boxes), len(anchors), cells, cells)
    box, x, y, w, h = (np.zeros(shape, np.float32) for _ in range(5))
    nothing, kinds = np.ones(shape, np.float32), np.zeros((*shape, classes), np.float32)
    for row, place in zip(*np.nonzero(boxes.any(-1))):
        kind, *rest = boxes[row, place].astype(np.float64)
        column, line, width, height = (value * cells for value in rest)
        i, j = (min(int(value), cells - 1) for value in (column, line))
        shapes = np.concatenate([np.zeros_like(anchors), anchors], 1)
        overlap = overlaps(np.array([0, 0, width, height]), shapes)
        nothing[row, overlap > ignored_overlap, j, i] = 0
        best = int(np.argmax(overlap))
        cell = (row, best, j, i)
        box[cell] = 1
        x[cell], y[cell] = column - i, line - j
        w[cell], h[cell] = np.log(np.array([width, height]) / anchors[best] + 1e-16)
        kinds[(*cell, int(kind))] = 1
    return Targets(box, nothing, x, y, w, h, kinds)


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return intersection over union of a box [4] with others [n, 4], corners x1, y1, x2, y2.

    A box holds its last pixel: its width is x2 - x1 + 1.
    """
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.maximum(high - low + 1, 0).prod(1)
    areas = [(b[..., 2:] - b[..., :2] + 1).prod(-1) for b in (box, others)]
    return both / (areas[0] + areas[1] - both + 1e-16)


def _by_anchor(raw: jax.Array, anchors: int) -> jax.Array:
    """[batch, row, column, anchor * value] -> [batch, anchor, row, column, value]."""
    split = at_least_float32(raw).reshape(*raw.shape[:3], anchors, -1)
    return jnp.moveaxis(split, 3, 1)


def detection_loss(
    raw: jax.Array,
    targets: Targets,
    mask: jax.Array | None = None,
    weights: BoxLoss | None = None,
) -> Parts:
    """Return the loss of one scale's raw map [batch, row, column, anchor * (5 + class)].

    Every part is a mean over all cells, whether they have a box or not; mask bool [batch].
    """
    weights = weights or BoxLoss()
    has, nothing, tx, ty, tw, th, classes = (jnp.asarray(target) for target in targets)
    map_ = _by_anchor(raw, has.shape[1])
    logit = map_[..., 4]

    def mean(values: jax.Array) -> jax.Array:
        return masked_mean(values, mask)

    x, y = (mean(has * sigmoid_cross_entropy(map_[..., i], t)) for i, t in ((0, tx), (1, ty)))
    w, h = (mean(has * jnp.square(map_[..., i] - t)) for i, t in ((2, tw), (3, th)))
    found = mean(has * sigmoid_cross_entropy(logit, jnp.ones_like(logit)))
    wrong = mean(nothing * sigmoid_cross_entropy(logit, jnp.zeros_like(logit)))
    confidence = found + weights.nothing_weight * wrong
    kinds = mean(has[..., None] * sigmoid_cross_entropy(map_[..., 5:], classes))
    total = weights.box_weight * (x + y + w + h) + confidence + kinds
    return Parts(total, x, y, w, h, confidence, kinds)


def decode(raw: ArrayLike, scale: int, side: int) -> jax.Array:
    """Return the boxes [batch, anchor * row * column, 5 + class] that a raw map speaks of.

    Centre x and y, width and height in pixels, confidence, probabilities of the classes.
    """
    raw = jnp.asarray(raw)
    cells = raw.shape[1]
    anchors = jnp.asarray(anchors_of(scale, side, cells), jnp.float32)
    map_ = _by_anchor(raw, len(anchors))
    columns, rows = jnp.meshgrid(jnp.arange(cells), jnp.arange(cells))
    x, y = jax.nn.sigmoid(map_[..., 0]) + columns, jax.nn.sigmoid(map_[..., 1]) + rows
    w, h = (jnp.exp(map_[..., i + 2]) * anchors[:, i, None, None] for i in (0, 1))
    boxes = jnp.stack([x, y, w, h], -1) * (side / cells)
    found = jnp.concatenate([boxes, jax.nn.sigmoid(map_[..., 4:])], -1)
    return found.reshape(len(raw), -1, found.shape[-1])


def keep_best(boxes: np.ndarray, confidence: float = 0.5, overlap: float = 0.5) -> np.ndarray:
    """Keep of overlapping boxes of one class the most confident (non-maximum suppression).

    Args:
        boxes: of one film, [box, 5 + class], as `decode` gives them.
        confidence: the least that counts.
        overlap: from which another box of the class is dropped.

    Returns:
        [kept, 7]: corners x1, y1, x2, y2, confidence, probability of the class, class; class by
        class, in order of falling confidence.
    """
    boxes = boxes[boxes[:, 4] >= confidence]
    corners = np.concatenate(
        [boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2], 1
    )
    kinds = boxes[:, 5:].argmax(1) if len(boxes) else np.zeros(0, int)
    best = np.take_along_axis(boxes[:, 5:], kinds[:, None], 1)
    table = np.concatenate([corners, boxes[:, 4:5], best, kinds[:, None]], 1)
    kept = []
    for kind in np.unique(kinds):
        rest = table[kinds == kind]
        rest = rest[np.argsort(-rest[:, 4], kind="stable")]
        while len(rest):
            kept.append(rest[0])
            rest = rest[1:][overlaps(rest[0, :4], rest[1:, :4]) < overlap]
    return np.stack(kept) if kept else table[:0]


def detections(
    maps: Sequence[np.ndarray], side: int, confidence: float = 0.5, overlap: float = 0.5
) -> list[np.ndarray]:
    """Return the kept boxes of every film, of its raw maps of all scales joined."""
    every = np.concatenate([np.asarray(decode(m, i, side)) for i, m in enumerate(maps)], 1)
    return [keep_best(boxes, confidence, overlap) for boxes in every]
