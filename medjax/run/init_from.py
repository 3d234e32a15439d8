"""Start a stage from other weights: a stage of this run, a run folder, `folder@step`, in parts."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from medjax.errors import UserError, nearest
from medjax.run.checkpoint import Checkpoints
from medjax.run.converted import read_record
from medjax.run.source_name import parse_source
from medjax.run.system import lacks_nothing

Flat = dict[tuple[str, ...], Any]


class Source(NamedTuple):
    """A stage folder that holds checkpoints, and which of them to read."""

    folder: Path
    which: str | int
    """"best", "last" or a step."""


class Place(NamedTuple):
    """Where the stage that is to start from other weights stands."""

    workdir: Path
    stages: Sequence[str]
    """Of this run."""
    stage: str
    replica: str = ""
    """Its replica, which starts from the same replica of another stage, or from a shared stage."""


def find_source(text: str, place: Place) -> Source:
    """Resolve `text`: a stage name of this run, a stage or run folder, with `@step` at its end.

    Of a run folder the stage of the same name is taken, or else its last stage; of a folder with
    replicas the one of the same name.

    Raises:
        UserError: nothing with checkpoints stands there.
    """
    name, chosen = parse_source(text)
    if name in place.stages:
        own, shared = place.workdir / name / place.replica, place.workdir / name
        return Source(shared if (shared / "checkpoints").is_dir() else own, chosen)
    folder = Path(name)
    candidates = [folder, folder / place.stage]
    if (folder / "config.json").is_file():
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        candidates += [folder / stage for stage in reversed(config.get("stages", []))]
    for candidate in candidates:
        for source in (candidate / place.replica, candidate):
            if (source / "checkpoints").is_dir():
                return Source(source, chosen)
    raise UserError(
        f"{place.stage}.init_from: {text!r} is neither a stage of this run "
        f"({', '.join(place.stages)}) nor a folder with checkpoints{nearest(name, place.stages)}"
    )


def read_variables(source: Source) -> dict[str, Any]:
    """Return the variables of a checkpoint as nested dicts of numpy arrays."""
    which = source.which if isinstance(source.which, int) else str(source.which)
    restored = Checkpoints(source.folder / "checkpoints").restore(None, which)
    if restored is None:
        raise UserError(f"{source.folder / 'checkpoints'} holds no checkpoint to start from")
    return restored[1]["variables"]


def read_artefacts(source: Source) -> dict[str, Any]:
    """Return what the training run stored beside its weights (normaliser, vocabulary)."""
    path = source.folder / "artefacts.json"
    if not path.is_file():
        raise UserError(f"{path} is missing: it stands beside the weights of every training run")
    return json.loads(path.read_text(encoding="utf-8"))


def start_from(
    variables: Mapping[str, Any], init_from: str | Sequence[Sequence[str]], place: Place
) -> dict[str, Any]:
    """Return `variables` with the values that `init_from` names, as `named_weights` finds them."""
    flat: Flat = traverse_util.flatten_dict(dict(variables))
    return traverse_util.unflatten_dict({**flat, **named_weights(variables, init_from, place)})


def named_weights(
    variables: Mapping[str, Any],
    init_from: str | Sequence[Sequence[str]],
    place: Place,
    may_lack: Callable[[tuple[str, ...]], bool] = lacks_nothing,
) -> Flat:
    """Return the values that `init_from` names for `variables`, by their paths.

    init_from: "" (none), one source (all variables must be in it), or pairs
    (part, source) / triples (part, source, part of the source), a part being a path such as
    "ehr" or "encoder/ecg" under which everything is taken, parameters and statistics. A converted
    folder that holds one network is taken whole for a part. A later entry wins.
    may_lack: path -> whether a source may be without it.

    Raises:
        UserError: names are missing in the source or have another shape; they are listed.
    """
    entries = [("", init_from, "")] if isinstance(init_from, str) and init_from else init_from
    flat: Flat = traverse_util.flatten_dict(dict(variables))
    found: Flat = {}
    for entry in entries or ():
        part, text = entry[0], entry[1]
        source = find_source(text, place)
        record = read_record(source.folder)
        own = "" if record and record["is_network"] else part
        source_part = entry[2] if len(entry) > 2 else own
        given = traverse_util.flatten_dict(read_variables(source))
        what = f"{place.stage}.init_from ({text})"
        found |= take_part(flat, given, part, source_part, what, may_lack)
    return found


def joined(
    shapes: Mapping[str, Any], entries: Sequence[Sequence[str]], place: Place
) -> dict[str, Any]:
    """Return the weights that the parts of an `init_from` make together, for these shapes.

    Raises:
        UserError: the parts leave variables of the model open; they are listed.
    """
    found = start_from(shapes, entries, place)
    flat: Flat = traverse_util.flatten_dict(found)
    missing = ["/".join(p) for p, x in flat.items() if isinstance(x, jax.ShapeDtypeStruct)]
    if missing:
        raise UserError(
            f"{place.stage}.init_from: {listed('missing', missing)}of {len(flat)} names: name "
            "weights for every part of the model"
        )
    return found


def fitting(shapes: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """Return the weights of `source` for a model whose variables have these shapes.

    Raises:
        UserError: the model has other variables than the weights; they are listed.
    """
    given = traverse_util.flatten_dict(read_variables(source))
    flat = traverse_util.flatten_dict(dict(shapes))
    return traverse_util.unflatten_dict(take_part(flat, given, "", "", str(source.folder)))


def take_part(
    flat: Flat,
    given: Flat,
    part: str,
    source_part: str,
    what: str,
    may_lack: Callable[[tuple[str, ...]], bool] = lacks_nothing,
) -> Flat:
    """Return what `given` has at `source_part` for everything under `part` in every collection."""
    prefix = tuple(part.split("/")) if part else ()
    source_prefix = tuple(source_part.split("/")) if source_part else ()
    wanted = [path for path in flat if path[1 : 1 + len(prefix)] == prefix]
    if not wanted:
        parts = sorted({path[1] for path in flat})
        raise UserError(
            f"{what}: this model has no part {part!r}; it has {', '.join(parts)}"
            + nearest(part, parts)
        )
    found: Flat = {}
    missing, misshapen = [], []
    for path in wanted:
        name = (path[0], *source_prefix, *path[1 + len(prefix) :])
        if name not in given:
            if may_lack(path):
                continue
            missing.append("/".join(name))
        elif np.shape(given[name]) != np.shape(flat[path]):
            shapes = f"{np.shape(given[name])} for {np.shape(flat[path])}"
            misshapen.append(f"{'/'.join(name)} {shapes}")
        else:
            found[path] = jax.numpy.asarray(given[name], dtype=flat[path].dtype)
    if missing or misshapen:
        raise UserError(
            f"{what}: {listed('missing', missing)}{listed('of another shape', misshapen)}"
            f"of {len(wanted)} names; give matching model options, or name the parts to take"
        )
    return found


def listed(word: str, names: Sequence[str]) -> str:
    """Return e.g. "3 missing (a, b, c) " or ""."""
    if not names:
        return ""
    more = ", ..." if len(names) > 5 else ""
    return f"{len(names)} {word} ({', '.join(names[:5])}{more}) "
