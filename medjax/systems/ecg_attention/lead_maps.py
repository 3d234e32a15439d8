"""Maps of the lead attention: which lead looks at which, of one record and of two risk groups.

A map is [lead, lead]: row q, column k is how much the query lead q takes from the key lead k, so
every row sums to 1. Pure functions from arrays to figures.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

GROUPS = {"low": "Low risk", "high": "High risk", "difference": "High minus low"}
"""How pictures call the groups of `group_maps`."""


class GroupMaps(NamedTuple):
    """Mean and standard deviation of the maps of a group of records, or their difference."""

    mean: NDArray[np.float64]
    """[lead, lead]"""
    std: NDArray[np.float64]
    """[lead, lead], the population's."""
    n: int
    """Records."""


def group_maps(maps: NDArray, high: NDArray[np.bool_]) -> dict[str, GroupMaps]:
    """Return the maps of the groups "low" and "high", and "difference": high minus low.

    A group without records has NaN everywhere, and so has the difference.

    Args:
        maps: [n, lead, lead]
        high: [n], True for the records of high risk.
    """
    low, above = _statistics(maps[~high]), _statistics(maps[high])
    difference = GroupMaps(above.mean - low.mean, above.std - low.std, low.n + above.n)
    return {"low": low, "high": above, "difference": difference}


def _statistics(maps: NDArray) -> GroupMaps:
    if not len(maps):
        nothing = np.full(maps.shape[1:], np.nan)
        return GroupMaps(nothing, nothing, 0)
    maps = np.asarray(maps, np.float64)
    return GroupMaps(maps.mean(0), maps.std(0), len(maps))


def group_figure(groups: Mapping[str, GroupMaps], leads: Sequence[str], title: str) -> Figure:
    """Draw mean (above) and standard deviation (below) of the low, the high and their difference.

    Low and high share their colours, so that they can be compared by eye; the difference is grey
    where the groups agree.
    """
    figure = Figure(figsize=(11, 7.4), layout="constrained")
    figure.suptitle(title, fontsize=10, parse_math=False)
    axes = figure.subplots(2, 3)
    for row, statistic in enumerate(("mean", "std")):
        values = {name: getattr(group, statistic) for name, group in groups.items()}
        top = _largest(values["low"], values["high"])
        for ax, (name, value) in zip(axes[row], values.items(), strict=True):
            scale: dict[str, Any] = {"cmap": "Oranges", "vmin": 0, "vmax": top}
            if name == "difference":
                half = _largest(np.abs(value))
                scale = {"cmap": "coolwarm", "vmin": -half, "vmax": half}
            image = draw_map(ax, value, leads, **scale)
            ax.set_title(_caption(name, statistic, groups), fontsize=9)
            colorbar = figure.colorbar(image, ax=ax, shrink=0.85, pad=0.02)
            colorbar.ax.tick_params(labelsize=7)
    return figure


def _caption(name: str, statistic: str, groups: Mapping[str, GroupMaps]) -> str:
    words = {"mean": "mean", "std": "standard deviation"}[statistic]
    if name == "difference":
        return f"{GROUPS[name]}: {words}"
    n = groups[name].n
    return f"{GROUPS[name]}: {words} of {n:,}" if n else f"{GROUPS[name]}: no records"


def draw_map(ax: Axes, values: NDArray, leads: Sequence[str], size: float = 7, **scale: Any) -> Any:
    """Draw a map [lead, lead] with the leads' names; returns the image, for a colour bar.

    size: of the names, in points. scale: `cmap`, and `vmin` and `vmax` or `norm`.
    """
    image = ax.imshow(values, interpolation="nearest", **scale)
    places = range(len(leads))
    ax.set_xticks(places, leads, fontsize=size, rotation=90)
    ax.set_yticks(places, leads, fontsize=size)
    ax.tick_params(length=0)
    ax.set_xlabel("key lead", fontsize=size + 1)
    ax.set_ylabel("query lead", fontsize=size + 1)
    return image


def draw_one_map(
    figure: Figure | SubFigure, ax: Axes, values: NDArray, leads: Sequence[str], size: float = 7
) -> None:
    """Draw the lead attention of one record with its scale: nothing, even attention, the most."""
    scale = around_even(values)
    image = draw_map(ax, values, leads, size, **scale)
    norm = scale["norm"]
    ticks = [norm.vmin, norm.vcenter, norm.vmax]
    colorbar = figure.colorbar(image, ax=ax, shrink=0.85, pad=0.02, ticks=ticks, format="%.2f")
    colorbar.minorticks_off()
    colorbar.ax.tick_params(labelsize=size)


def around_even(values: NDArray) -> dict[str, Any]:
    """Return a scale from 0 up whose middle colour stands for even attention, 1 / leads."""
    even = 1 / len(values)
    top = max(_largest(values), 1.05 * even)
    return {"cmap": "coolwarm", "norm": TwoSlopeNorm(vcenter=even, vmin=0, vmax=top)}


def _largest(*arrays: NDArray) -> float:
    """Return the largest finite value, or 1 where there is none or it is 0."""
    values = np.concatenate([np.ravel(array) for array in arrays])
    values = values[np.isfinite(values)]
    return float(values.max()) if values.size and values.max() > 0 else 1.0
