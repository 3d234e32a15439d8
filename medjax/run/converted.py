"""Folders of converted weights, as `init_from` takes them: a checkpoint and a record beside it.

    converted.json    what the weights are of: source, sizes, the published column, names
    artefacts.json    what a training run would have stored (normaliser, labels)
    checkpoints/0/    the weights

The record's fields take effect when a config is loaded, before anything runs, so that
`config.json` of the run says what was used.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from medjax.errors import UsageError, UserError
from medjax.run.config import flatten, set_field
from medjax.run.source_name import parse_source

RECORD = "converted.json"
FORMAT = 2
"""Version of the record; raised whenever older readers would go wrong."""


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record of a folder of converted weights, None where it is no such folder.

    Raises:
        UserError: the record is damaged or of another version.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: convert the weights again") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{path} is of another version of medjax: convert the weights again")
    return record


def apply_records(config: ConfigDict, named: frozenset[str]) -> list[str]:
    """Set what converted weights ask of the stages that start from them; return warnings.

    Sizes must be those of the weights. Of weights taken whole, or in the part that bears what the
    network computes, fields that make it compute as the original did are set unless the user named
    them, and data prepared otherwise than those that the weights were trained on are warned of,
    field by field. A part that bears only some of the fields sets those alone.

    Raises:
        UsageError: a size of the stage is not that of the weights; or the weights are of one
            network, which is only a part of the stage's model.
    """
    warnings = []
    for stage, part, text, record in _records(config):
        if record["is_network"]:
            _check_network(config, stage, part, text, record["settings"])
        elif not part or part in record["bearing"]:
            borne = tuple(record["bearing"][part]) if part else ("",)
            sizes, fields = (
                {n: v for n, v in given.items() if n.startswith(borne)}
                for given in (record["settings"], record["fields"]["model"])
            )
            _set_sizes(config, stage, text, sizes, named)
            warnings += _set_fields(config, stage, text, fields, named)
            warnings += _other_data(config, text, record["fields"]["data"])
    return warnings


def _records(config: ConfigDict) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield (stage, part, folder, record) of what the stages to run take of converted weights.

    The part is that of the weights, "" for all of them; of one network, that which takes it.
    """
    for stage in config.get("stages", ()):
        value = config.get(stage, {}).get("init_from")
        entries = (("", value),) if isinstance(value, str) else value or ()
        for part, text, *source_part in entries:
            record = read_record(Path(parse_source(text).name)) if text else None
            if record is not None:
                yield stage, (source_part or [part])[0], text, record


def _check_network(
    config: ConfigDict, stage: str, part: str, text: str, sizes: Mapping[str, Any]
) -> None:
    if not part:
        raise UsageError(
            f"config.{stage}.init_from: {text} holds one network: say which part of the model "
            f"takes it, for example --config.{stage}.init_from=cxr:{text}"
        )
    known = flatten(config[stage])
    for name, value in sizes.items():
        if known.get(name, value) != value:
            raise UsageError(
                f"config.{stage}.{name} is {known[name]} and the weights in {text} are of "
                f"{value}: give --config.{stage}.{name}={value}"
            )


def _set_sizes(
    config: ConfigDict, stage: str, text: str, sizes: Mapping[str, Any], named: frozenset[str]
) -> None:
    known = flatten(config[stage])
    for name, value in sizes.items():
        field = f"{stage}.{name}"
        if name in known and field in named and known[name] != value:
            raise UsageError(
                f"--config.{field}={known[name]}: the weights in {text} have {value}; leave it out"
            )
        if name in known:
            set_field(config[stage], name, value)


def _set_fields(
    config: ConfigDict, stage: str, text: str, fields: Mapping[str, Any], named: frozenset[str]
) -> list[str]:
    known, warnings = flatten(config[stage]), []
    for name, value in fields.items():
        field = f"{stage}.{name}"
        if name in known and field not in named:
            set_field(config[stage], name, value)
        elif name in known and known[name] != value:
            warnings.append(
                f"{field}={known[name]} is used as asked for, although the weights in {text} were "
                f"trained with {value}"
            )
    return warnings


def _other_data(config: ConfigDict, text: str, fields: Mapping[str, Any]) -> list[str]:
    """Return a warning for each field in which the data differ from those of the weights."""
    known = flatten(config)
    prepared = {
        name: _manifest_fields(Path(folder))
        for name, folder in flatten(config.get("data", {})).items()
        if name.endswith("dir") and folder is not None
    }
    warnings = []
    for field, value in sorted(fields.items()):
        here = {f"config.{field}": known[field]} if field in known else {}
        here |= {f"config.data.{n}": m[field] for n, m in prepared.items() if field in m}
        warnings += [
            f"the weights in {text} were made with {field}={value}; {place} has {found}"
            for place, found in here.items()
            if found != value
        ]
    return warnings


def _manifest_fields(folder: Path) -> dict[str, Any]:
    """Return how a prepared folder was made; {} where it does not say, its reader will."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return dict(manifest.get("fields", {}))
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
