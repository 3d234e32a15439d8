"""A map of the latents of all modalities: do they mix, and what lies where."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medjax.metrics.figures import COLORS
from medjax.metrics.panels import HEADER_SIZE, MARGIN, shown, wrap
from medjax.metrics.projection import METHODS, project
from medjax.metrics.regression import is_binary
from medjax.systems.crossmodal.latents import Latents

MARKERS = ("o", "^", "s")
SHAPES = ("\N{BLACK CIRCLE}", "\N{BLACK UP-POINTING TRIANGLE}", "\N{BLACK SQUARE}")
"""Of modalities: how matplotlib calls them, and how they look."""
COLUMNS, PANEL = 3, 2.7
"""Panels in a row, and inches of one."""
MOST = 2000
"""Participants that are drawn."""
TEXT_SIZE = 8


class LatentMap(NamedTuple):
    """Points of all latents of all modalities."""

    points: NDArray
    """[points, 2]"""
    modality: NDArray
    """Text [points]."""
    row: NDArray
    """[points], which participant of the `Latents` each point is of."""
    method: str


def make_map(latents: Latents, method: str = "tsne", seed: int = 0) -> LatentMap | None:
    """Lay out the latents of all modalities together, at unit length, as retrieval compares them.

    Args:
        latents: of n participants; of more than `MOST` so many at random.
        method: a name of `projection.METHODS`.
        seed: of t-SNE and of the choice of participants.

    Returns:
        None where there are fewer than 4 latents.
    """
    chosen = np.arange(len(latents.sample_id))
    if len(chosen) > MOST:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, MOST, replace=False))
    rows = {name: chosen[latents.has[name][chosen]] for name in latents.vectors}
    vectors = np.concatenate([latents.vectors[name][rows[name]] for name in rows])
    if len(vectors) < 4:
        return None
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    points = project(vectors / np.maximum(length, 1e-12), method, seed)
    modality = np.concatenate([np.full(len(r), name) for name, r in rows.items()])
    return LatentMap(points, modality, np.concatenate(list(rows.values())), method)


def map_figure(made: LatentMap, factors: Mapping[str, NDArray], title: str) -> Figure:
    """Draw the map once by modality and once a factor.

    Args:
        made: of `make_map`.
        factors: {name: [n]} of the participants; NaN, not known, is not drawn. The colours of
            numbers go from their 2nd to their 98th percentile.
        title: heading.
    """
    known = {name: values for name, values in factors.items() if np.isfinite(values).any()}
    columns = min(COLUMNS, 1 + len(known))
    lines = -(-(1 + len(known)) // columns)
    width = max(columns * (PANEL + 0.5), 4.5)
    figure = Figure(figsize=(width, 0.6 + lines * PANEL), layout="constrained")
    modalities = list(dict.fromkeys(made.modality.tolist()))
    legend = f"Latents at unit length by {METHODS[made.method]}" + (
        f"; {' and '.join(name.upper() for name in modalities)} of a participant are two points."
        if len(modalities) > 1
        else "."
    )
    header = "\n".join(wrap(text, width - 2 * MARGIN, HEADER_SIZE) for text in (title, legend))
    figure.suptitle(header, fontsize=HEADER_SIZE, parse_math=False)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for ax in panels:
        ax.set_axis_off()
    _by_modality(panels[0], made, modalities)
    for ax, (name, values) in zip(panels[1:], known.items()):
        _by_factor(ax, made, modalities, name, np.asarray(values, np.float64)[made.row])
    return figure


def _open(ax: Axes, title: str) -> None:
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=TEXT_SIZE, pad=3, parse_math=False)


def _by_modality(ax: Axes, made: LatentMap, modalities: list[str]) -> None:
    _open(ax, "modality")
    # In one random order, so that no modality hides the other.
    order = np.random.default_rng(0).permutation(len(made.points))
    number = np.array([modalities.index(name) for name in made.modality])[order]
    colors = np.array(COLORS)[number]
    x, y = made.points[order].T
    ax.scatter(x, y, s=9, c=colors, linewidths=0, alpha=0.7)
    for name, color in zip(modalities, COLORS):
        ax.scatter([], [], s=16, c=color, label=name.upper())
    ax.legend(fontsize=TEXT_SIZE - 1, handletextpad=0.1, borderpad=0.2, loc="best")


def _by_factor(
    ax: Axes, made: LatentMap, modalities: list[str], name: str, values: NDArray
) -> None:
    """values: [points]"""
    _open(ax, shown(name))
    finite = np.isfinite(values)
    binary = is_binary(values[finite])
    low, high = (0, 1) if binary else np.percentile(values[finite], [2, 98])
    for modality, marker in zip(modalities, MARKERS):
        of = finite & (made.modality == modality)
        x, y = made.points[of].T
        drawn = ax.scatter(
            x,
            y,
            c=values[of],
            s=9,
            marker=marker,
            cmap=colormaps["viridis"].resampled(2 if binary else 256),
            vmin=low,
            vmax=high,
            linewidths=0,
            alpha=0.85,
        )
    assert ax.figure is not None
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.8, pad=0.02, aspect=25)
    bar.ax.tick_params(labelsize=TEXT_SIZE - 2)
    bar.outline.set_visible(False)
    if binary:
        bar.set_ticks([0.25, 0.75], labels=["no", "yes"])
    shapes = ", ".join(f"{m.upper()} {s}" for m, s in zip(modalities, SHAPES))
    if len(modalities) > 1:
        ax.set_xlabel(shapes, fontsize=TEXT_SIZE - 1.5, labelpad=2)
