"""What a file that medjax wrote of a trained stage says of itself, beside its weights.

Read back it gives the same predictions as the run: its own normaliser and labels, its own fields
in place of the published column.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from medjax.errors import UserError
from medjax.weights.converter import Converter
from medjax.weights.files import Weights

KEY = "medjax"
"""Under which it stands in the file, as JSON."""


def describe_run(
    converter: Converter,
    config: Mapping[str, Any],
    stage: str,
    artefacts: Mapping[str, Any],
    parts: Iterable[str],
) -> str:
    """Return what to write with the weights of a stage, as JSON.

    Args:
        converter: of the run's system.
        config: of the run, as JSON values.
        stage: its name.
        artefacts: those of the stage.
        parts: the parts of the model that the weights hold.
    """
    options = _flat(config[stage])
    model = converter.of_stage(config[stage])
    column = converter.fields(model).model
    own = {
        "system": config["system"],
        "compat": config.get("compat", ""),
        "parts": sorted(parts),
        "fields": {"model": {n: options[n] for n in column if n in options}, "data": {}},
        "artefacts": artefacts,
    }
    return json.dumps(own, sort_keys=True)


def own_record(weights: Weights, system: str) -> dict[str, Any] | None:
    """Return what a file written by medjax says of itself, None where another program wrote it.

    Raises:
        UserError: it is of another system, or broken.
    """
    text = weights.extra.get(KEY)
    if text is None:
        return None
    try:
        own = json.loads(str(text))
        whole = isinstance(own["artefacts"], dict) and isinstance(own["compat"], str)
        whole &= all(isinstance(own["fields"][kind], dict) for kind in ("model", "data"))
        whole &= all(isinstance(part, str) for part in own["parts"])
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise UserError(f"what the file says of itself under {KEY!r} is broken: write it again")
    if own["system"] != system:
        raise UserError(f"the weights are of {own['system']}, not of {system}: name that system")
    return own


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in options.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat
