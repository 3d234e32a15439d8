"""A network layer by layer: its picture and its table of parameters."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from medjax.metrics.figures import GREY
from medjax.metrics.tables import Cell, Table
from medjax.nn.batch_norm import BatchNorm
from medjax.nn.convolution import Conv
from medjax.nn.dropout import Dropout
from medjax.nn.linear import Linear
from medjax.systems.crossmodal.model import CrossModal

KINDS = {
    Conv: "convolution",
    Linear: "dense",
    nn.LayerNorm: "layer norm",
    BatchNorm: "batch norm",
    Dropout: "dropout",
}
POOL, UPSAMPLE, SIGNAL, LATENT, ALONE = "pool", "upsample", "signal", "latent", "parameter"
"""What no module of its own does, what goes in, and numbers that stand in no layer."""
COLORS = {
    "convolution": "#9ecae1",
    "dense": "#fdd76e",
    "layer norm": "#dfc27d",
    "batch norm": "#dfc27d",
    "dropout": "#dddddd",
    POOL: "#a8ddb5",
    UPSAMPLE: "#b8c0cc",
    "reshape": "#b8c0cc",
    "reshape, upsample": "#b8c0cc",
    SIGNAL: "#ffffff",
    LATENT: "#ffffff",
}
COLUMN, BOX, STEP = 3.1, 0.27, 0.36
"""Inches of a part, of a box, and from box to box."""
TEXT_SIZE = 7


class Layer(NamedTuple):
    """One layer in the order in which signals pass."""

    part: str
    """"encoder_ecg" """
    name: str
    """"block0/conv1"; "" of what has no weights."""
    kind: str
    reads: tuple[int, ...]
    """Shape of one example, channels last."""
    gives: tuple[int, ...]
    kernel: tuple[int, ...]
    """Size of a convolution's kernel."""
    parameters: int


def layers_of(model: CrossModal) -> list[Layer]:
    """Return the layers of all parts of a network; nothing is computed but shapes."""
    calls: list[tuple[tuple[str, ...], str, tuple[int, ...], tuple[int, ...]]] = []

    def record(run: Callable, args: tuple, options: dict, context: Any) -> Any:
        out = run(*args, **options)
        kind = KINDS.get(type(context.module))
        if kind is not None and context.method_name == "__call__":
            calls.append((context.module.path, kind, args[0].shape[1:], out.shape[1:]))
        return out

    def make(key: jax.Array) -> Any:
        with nn.intercept_methods(record):
            return model.init({"params": key})

    made = jax.eval_shape(make, jax.random.key(0))
    layers: list[Layer] = []
    for path, kind, reads, gives in calls:
        own = made["params"]
        for name in path:
            own = own.get(name, {})
        size = own["kernel"].shape[:-2] if kind == "convolution" else ()
        count = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(own))
        part, name = path[0], "/".join(path[1:])
        before = layers[-1] if layers and layers[-1].part == part else None
        layers += _between(part, before, tuple(reads))
        layers.append(Layer(part, name, kind, tuple(reads), tuple(gives), tuple(size), count))
    known = {layer.part for layer in layers}
    for part, own in made["params"].items():
        if part not in known:
            layers += [Layer(part, name, ALONE, (), x.shape, (), x.size) for name, x in own.items()]
    return layers


def _between(part: str, before: Layer | None, reads: tuple[int, ...]) -> list[Layer]:
    """Return what stands before a layer of these inputs: the signal, a pooling, an upsampling."""
    if before is None:
        kind = SIGNAL if len(reads) > 1 else LATENT
        return [Layer(part, "", kind, reads, reads, (), 0)]
    old, new = before.gives[:-1], reads[:-1]
    if not new or old == new:
        return []
    if not old:
        kind = "reshape" if np.prod(reads) == before.gives[0] else "reshape, upsample"
        return [Layer(part, "", kind, before.gives, reads, (), 0)]
    kind = POOL if new < old else UPSAMPLE
    return [Layer(part, "", kind, before.gives, (*new, before.gives[-1]), (), 0)]


def parameter_table(layers: Sequence[Layer], title: str) -> Table:
    """Return the table of layers with their shapes and parameters, and the sum of each part."""
    rows: list[tuple[Cell, ...]] = []
    for part in dict.fromkeys(layer.part for layer in layers):
        own = [layer for layer in layers if layer.part == part]
        for layer in own:
            shapes = (_times(layer.reads), _times(layer.gives))
            rows.append((part, layer.name, _kind(layer), *shapes, layer.parameters))
        rows.append((part, "all", "", "", "", sum(layer.parameters for layer in own)))
    rows.append(("all", "", "", "", "", sum(layer.parameters for layer in layers)))
    return Table(title, ("Part", "Layer", "Kind", "Reads", "Gives", "Parameters"), tuple(rows))


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _kind(layer: Layer) -> str:
    size = "x".join(map(str, layer.kernel))
    return f"{layer.kind} {size}".strip()


def architecture_figure(model: CrossModal, title: str) -> Figure:
    """Draw the parts of a network side by side, layer below layer.

    Lines at the left of the boxes show what else a layer reads than the one above it: all before
    it in its block, or the skip of the residual stack.
    """
    layers = layers_of(model)
    parts = {
        part: [layer for layer in layers if layer.part == part]
        for part in dict.fromkeys(layer.part for layer in layers if layer.kind != ALONE)
    }
    longest = max(len(own) for own in parts.values())
    width, height = COLUMN * len(parts), 1.05 + STEP * longest
    figure = Figure(figsize=(width, height))
    total = sum(layer.parameters for layer in layers)
    heading = f"{title}: {total:,} parameters\n{_options(model)}"
    figure.suptitle(heading, fontsize=10, y=1 - 0.08 / height, va="top", parse_math=False)
    for i, (part, own) in enumerate(parts.items()):
        box = i / len(parts), 0.05 / height, 1 / len(parts), 1 - 0.75 / height
        ax = figure.add_axes(box, xlim=(0, COLUMN), ylim=(STEP * longest + 0.3, 0))
        ax.set_axis_off()
        count = sum(layer.parameters for layer in own)
        head = f"{part.replace('_', ' ')}: {count:,}"
        style: dict[str, Any] = {"fontsize": TEXT_SIZE + 1, "va": "center", "weight": "bold"}
        ax.text(0.5, 0.12, head, parse_math=False, **style)
        for place, layer in enumerate(own):
            _draw_box(ax, 0.3 + STEP * place, layer)
        for start, end in _connections(own):
            _draw_connection(ax, 0.3 + STEP * start + BOX, 0.3 + STEP * end)
    return figure


def _options(model: CrossModal) -> str:
    """What the boxes do not show, in words."""
    told = [
        f"{name.upper()}: {options.activation} behind every convolution and dense layer but 1x1 "
        f"ones, {options.pool_type} pooling"
        for name, options in model.modalities
    ]
    return "; ".join(told)


def _draw_box(ax: Axes, top: float, layer: Layer) -> None:
    corner, size = (0.5, top), 1.55
    style: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.05", "linewidth": 0.6}
    color = COLORS[layer.kind]
    ax.add_patch(FancyBboxPatch(corner, size, BOX, facecolor=color, edgecolor=GREY, **style))
    text = f"{layer.name}  " if layer.name else ""
    text += _kind(layer).replace("convolution", "conv")
    if layer.kind in ("convolution", "dense"):
        text += f"  {layer.reads[-1]:,} \N{RIGHTWARDS ARROW} {layer.gives[-1]:,}"
    middle = top + BOX / 2
    across: dict[str, Any] = {"va": "center", "parse_math": False}
    ax.text(0.5 + size / 2, middle, text, ha="center", fontsize=TEXT_SIZE - 1.2, **across)
    ax.text(0.55 + size, middle, _times(layer.gives), fontsize=TEXT_SIZE - 0.5, **across)


def _connections(layers: Sequence[Layer]) -> list[tuple[int, int]]:
    """Return (from, to) of what layers read beside the one above them, by their places."""
    found = []
    for place, layer in enumerate(layers):
        block, _, name = layer.name.rpartition("/")
        if block.startswith("block") and name.startswith("conv") and name != "conv0":
            first = next(i for i, other in enumerate(layers) if other.name == f"{block}/conv0")
            convs = [i for i in range(first, place - 1) if layers[i].kind == layer.kind]
            found += [(i, place) for i in (first - 1, *convs)]
        if block == "residual" and name.startswith("skip"):
            before = f"conv{int(name.removeprefix('skip')) - 1}"
            source = f"skip{int(name.removeprefix('skip')) - 1}"
            names = [other.name.rpartition("/")[2] for other in layers]
            start = names.index(source) if source in names else names.index(before)
            found.append((start, place + 1))
    return found


def _draw_connection(ax: Axes, top: float, bottom: float) -> None:
    depth = min(0.12 + 0.06 * (bottom - top) / STEP, 0.42)
    arrow = {"arrowstyle": "-|>", "color": GREY, "linewidth": 0.6, "mutation_scale": 5}
    bend = depth / max(bottom - top, 1e-6)
    arrow |= {"connectionstyle": f"arc3,rad={min(bend, 0.6)}", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (0.5, bottom + BOX / 2), (0.5, top - BOX / 2), arrowprops=arrow)
