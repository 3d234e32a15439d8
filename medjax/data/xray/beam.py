"""Encoding films with Apache Beam, on a cluster whose workers see the same folders.

The pipeline only fills the parts from which this process then writes the set, so the records are
those of the local engine.
"""

import importlib
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from medjax.data.xray.encode import Encoded, Job
from medjax.data.xray.parts import Part, keep_part
from medjax.errors import UserError

INSTALL = "pip install 'medjax[beam]'"


def encode_on_beam(parts: Sequence[Part], encode: Callable[[Job], Encoded], options: str) -> None:
    """Fill parts, which `options` (those of Beam's runner, as on a command line) may spread.

    A part with an unreadable film is left to the caller, who knows how many are allowed.

    Raises:
        UserError: Apache Beam is not installed, or its pipeline failed.
    """
    beam, pipeline_options = _import_beam()
    flags = pipeline_options.PipelineOptions(shlex.split(options))
    try:
        with beam.Pipeline(options=flags) as pipeline:
            found = pipeline | "parts" >> beam.Create(list(parts), reshuffle=True)
            _ = found | "encode" >> beam.Map(encode_part, encode)
    except (RuntimeError, ValueError, OSError) as e:
        reason = str(e).strip().splitlines()[-1] if str(e).strip() else type(e).__name__
        raise UserError(f"--engine=beam: the pipeline failed ({reason})") from e


def encode_part(part: Part, encode: Callable[[Job], Encoded]) -> int:
    """Encode the films of a part, keep them, and return their number."""
    keep_part(part, [encode(job) for job in part.jobs])
    return len(part.jobs)


def _import_beam() -> tuple[Any, Any]:
    try:
        return (
            importlib.import_module("apache_beam"),
            importlib.import_module("apache_beam.options.pipeline_options"),
        )
    except ImportError:
        raise UserError(
            f"--engine=beam needs Apache Beam: {INSTALL}, best in an environment of its own, since "
            "it wants older versions of some libraries"
        ) from None
