"""What a system says of its published weights, and how a file's names are held against it.

A system that has published weights defines `CONVERTER` in `medjax/systems/<name>/convert.py`; the
command `python -m medjax.convert <name>` finds it there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from medjax.errors import UserError
from medjax.nn.torch_names import Layer, StateDict, from_torch, names_of, to_torch
from medjax.weights.files import Weights
from medjax.weights.state_dict import common_prefix

Model = Mapping[str, Any]
"""Options that fix a network's names and shapes, JSON values: {"backbone": "resnet34", ...}."""

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes by published name."""

BATCH_COUNTER = "num_batches_tracked"
"""PyTorch's name of BatchNorm's step counter."""
INTEGERS = (f".{BATCH_COUNTER}", ".coordinate_index")
"""Ends of names of arrays of integers."""

LISTED = 12
"""Names of one kind that an error lists."""


class Fields(NamedTuple):
    """Values of config fields that belong to published weights."""

    model: Mapping[str, Any] = {}
    """Of a stage, by dotted name: how the original's network computes. Applied when the weights
    are loaded whole, unless the user names the field."""
    data: Mapping[str, Any] = {}
    """How the data that the weights were trained on were prepared: names of a manifest's `fields`,
    or dotted names of the config. Data prepared otherwise are warned of."""


def _same_name(name: str) -> str:
    return name


def _same_weights(weights: Weights) -> Weights:
    return weights


def _same_tensors(tensors: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return tensors


def _nothing(model: Model) -> dict[str, Any]:
    del model
    return {}


def _no_fields(model: Model) -> Fields:
    del model
    return Fields()


def _of_no_stage(stage: Mapping[str, Any]) -> Model:
    raise UserError("these weights are of a network alone, no run trains them as they are")


class Converter(NamedTuple):
    """How published weights of a system are known and named."""

    describe: Callable[[Shapes], Model]
    """The options of the network that names and shapes tell of; UserError where they are of no
    network of this system."""
    shapes: Callable[[Model], Shapes]
    """Every name that the published network has, with its shape."""
    layers: Callable[[Model], list[Layer]]
    """The table of names in both directions."""
    rename: Callable[[str], str] = _same_name
    """The name in the table for another spelling of it."""
    inward: Callable[[Weights], Weights] = _same_weights
    """A file's weights under the names of the table, where one name alone does not tell its place
    (Keras numbers its layers)."""
    outward: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]] = _same_tensors
    """Back: the names that a Keras file bears."""
    idle: Callable[[Model], StateDict] = _nothing
    """Weights that the published network has and reads nowhere, with their initial values: kept
    beside ours, for the way back."""
    left_out: tuple[str, ...] = ()
    """Beginnings of names that our network has no use for: a classifier of other classes."""
    settings: Callable[[Model], Mapping[str, Any]] = _nothing
    """Fields of a stage that must be so for the weights to fit: {"model.dim": 256}."""
    fields: Callable[[Model], Fields] = _no_fields
    """The published column, for weights that were published."""
    artefacts: Callable[[Model], Mapping[str, Any]] = _nothing
    """What a training run would have stored beside them (`System.artefacts`)."""
    of_stage: Callable[[Mapping[str, Any]], Model] = _of_no_stage
    """The options that `layers` needs, from a stage of a run's config."""
    sets: tuple[str, ...] = ()
    """Keys of dictionaries of weights that stand side by side in one file and belong together."""
    is_network: bool = False
    """Whether the weights are one network, to become a part of a system's model."""
    bearing: Callable[[Model], Mapping[str, tuple[str, ...]]] = _nothing
    """{part of the model: beginnings of the names of fields} that must be as the weights ask when
    that part alone is taken of them: {"encoder": ("",)} for all of them."""


class Conversion(NamedTuple):
    """Weights in our names, and what it takes to go back."""

    variables: dict[str, Any]
    counters: dict[str, np.ndarray]
    """Arrays by published name that our networks do not hold: BatchNorm's step counters, and what
    is idle."""
    names: list[tuple[str, str]]
    """(name in the file, name in the table), in the file's order."""
    model: Model
    prefix: str
    left_out: list[str]
    missing: list[str]


def convert(
    weights: Weights,
    converter: Converter,
    source: str,
    *,
    parts: Sequence[str] | None = None,
    partial: bool = False,
) -> Conversion:
    """Hold a file's weights against the network they tell of, and put them under our names.

    Args:
        weights: what the file holds.
        converter: of the system.
        source: what to call the file in an error.
        parts: the parts of our model that the file is known to hold; None: all of them.
        partial: take what fits when names are missing, unexpected or of another shape.

    Raises:
        UserError: the names are of no network of the system, or do not fit and `partial` is not
            asked for; they are listed.
    """
    try:
        weights = converter.inward(weights)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    prefix, given = _recognised(weights, converter)
    if len(given) < len(weights.tensors):
        raise UserError(f"{source}: it holds a weight under two spellings of one name")
    shapes = {name: array.shape for name, array in given.items()}
    try:
        model = converter.describe(shapes)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    table = converter.layers(model)
    expected = _of_parts(converter.shapes(model), table, parts)
    left = [name for name in given if name.startswith(converter.left_out or "\0")]
    unread = converter.idle(model)
    idle = [name for name in given if name in unread]
    known = {*expected, *left, *idle}
    unexpected = [name for name in given if name not in known]
    misshapen = [
        f"{name} {_shape(given[name])} for {_shape(expected[name])}"
        for name in given
        if name in expected and not _fits(name, given[name], expected[name])
    ]
    missing = [name for name in expected if name not in given]
    unexpected += weights.ignored
    faults = _listing(missing=missing, unexpected=unexpected, misshapen=misshapen)
    wrong = {entry.split(" ")[0] for entry in misshapen}
    fitting = {n: a for n, a in given.items() if n in expected and n not in wrong}
    if faults and (not partial or not fitting):
        mend = "--partial takes those that fit" if fitting else "is it another system's file?"
        raise UserError(f"{source}: of {len(expected)} names {faults}; {mend}")
    counters = {n: a for n, a in fitting.items() if n.endswith(f".{BATCH_COUNTER}")}
    counters |= {name: given[name] for name in idle}
    kept = {converter.rename(n.removeprefix(prefix)): n for n in weights.tensors}
    return Conversion(
        variables=from_torch(table, fitting),
        counters=counters,
        names=[(kept[name], name) for name in given if name in fitting or name in idle],
        model=model,
        prefix=prefix,
        left_out=[*left, *unexpected, *misshapen],
        missing=missing,
    )


def convert_back(
    variables: Mapping[str, Any],
    converter: Converter,
    model: Model,
    names: Iterable[tuple[str, str]] = (),
    counters: StateDict | None = None,
) -> dict[str, np.ndarray]:
    """Return published weights of our variables.

    Args:
        variables: ours.
        converter: of the system.
        model: its options.
        names: (name in the file, name in the table) in the file's order; of all when empty.
        counters: `Conversion.counters`; initial values where they are not given.
    """
    found = to_torch(converter.layers(model), variables)
    found |= {**converter.idle(model), **(counters or {})}
    return {name: found[ours] for name, ours in names} or found


def _recognised(weights: Weights, converter: Converter) -> tuple[str, dict[str, np.ndarray]]:
    """Return a wrapper's prefix, which is taken off only where that helps, and the weights."""
    prefix = ""
    while True:
        given = {converter.rename(n.removeprefix(prefix)): a for n, a in weights.tensors.items()}
        try:
            converter.describe({name: array.shape for name, array in given.items()})
            return prefix, given
        except UserError:
            more = common_prefix(given)
            if not more:
                return prefix, given
            prefix += more


def _of_parts(shapes: Shapes, table: Sequence[Layer], parts: Sequence[str] | None) -> Shapes:
    if parts is None:
        return shapes
    part_of = {name: layer.path[0] for layer in table for name in names_of(layer)}
    return {n: s for n, s in shapes.items() if part_of.get(n, "") in parts}


def _fits(name: str, array: np.ndarray, shape: tuple[int, ...]) -> bool:
    numbers = "iu" if name.endswith(INTEGERS) else "fV"  # ml_dtypes' floats are of kind V
    return array.shape == tuple(shape) and array.dtype.kind in numbers


def _shape(value: Any) -> str:
    if isinstance(value, np.ndarray):
        kind = "" if value.dtype.kind in "fV" else f" {value.dtype}"
        return f"{list(value.shape)}{kind}"
    return str(list(value))


def _listing(**kinds: Sequence[str]) -> str:
    """Return e.g. "2 are missing (a, b) and 1 is unexpected (c)"; "" when there is nothing."""
    words = {"missing": "missing", "unexpected": "unexpected", "misshapen": "of another shape"}
    found = []
    for kind, names in kinds.items():
        if names:
            shown = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
            verb = "is" if len(names) == 1 else "are"
            found.append(f"{len(names)} {verb} {words[kind]} ({shown})")
    return ", ".join(found)


def shapes_of(layers: Sequence[Layer], variables: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the published names and shapes of our variables (a tree of anything with a shape)."""
    zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), dict(variables))
    return {name: array.shape for name, array in to_torch(layers, zeros).items()}
