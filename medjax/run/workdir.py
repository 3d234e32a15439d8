"""The folder of a run: its name, the config stored in it, and who may go on in it."""

import errno
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from medjax.errors import UsageError, UserError
from medjax.files import write_json
from medjax.run.config import (
    Difference,
    differences,
    from_json,
    initial_weights,
    overrides_hash,
    to_json,
)
from medjax.run.lock import locked
from medjax.run.source_name import parse_source
from medjax.run.words import DEFAULT_SIZE

CONFIG = "config.json"
RESULTS = "results.json"
NAMED_DIFFERENCES = 12

FULL = (errno.ENOSPC, errno.EDQUOT)


def default_workdir(
    config_file: Path, words: Sequence[str], changed: Mapping[str, Any], mode: str = "train"
) -> Path:
    """Return ``runs/<config>[-<words>][-<hash of the overrides>]``.

    `words` come in canonical order; the default size adds nothing. Where there is no training run
    to evaluate or to predict with, these modes get a folder of their own.
    """
    parts = [config_file.stem, *(word for word in words if word != DEFAULT_SIZE)]
    if changed:
        parts.append(overrides_hash(changed))
    folder = Path("runs") / "-".join(parts)
    if mode != "train" and not (folder / CONFIG).exists():
        return folder.with_name(f"{folder.name}-{mode}")
    return folder


def check_workdir(
    folder: Path, config: ConfigDict, mode: str = "train", allow_optimizer_changes: bool = False
) -> None:
    """Refuse a folder that holds a run of another config; nothing is written.

    Args:
        folder: present or not.
        config: the config about to run.
        mode: "train" is refused where "evaluate" or "predict" made the folder; these two are
            refused where neither a training run nor an `init_from` folder gives them weights.
        allow_optimizer_changes: accept differing fields of groups named `optimizer`, except in a
            stage whose results exist: they would be shown for the changed config.

    Raises:
        UsageError: the refusal, with the differing fields named.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--workdir={folder} is a file; name a folder")
    stored = _read_stored(folder)
    if stored is None:
        if mode != "train" and not _starts_elsewhere(config):
            raise UsageError(
                f"no training run to {mode}: give the same command without --mode first,"
                " or name a run with --config.<stage>.init_from"
            )
        return
    made_by = stored.pop("mode", "train")
    if mode == "train" and made_by != "train":
        raise UsageError(f"{folder} was made by --mode={made_by}; train in another --workdir")
    differing = differences(from_json(stored), config)
    if allow_optimizer_changes:
        differing = [d for d in differing if not _is_open_optimizer(d.name, folder)]
    if differing and not (mode == "train" and _nothing_trained(folder)):
        raise UsageError(
            f"{folder} holds a run of another config: {_listing(differing)}; name another --workdir"
            + _optimizer_hint(differing, folder, allow_optimizer_changes)
        )


def _nothing_trained(folder: Path) -> bool:
    """Tell whether no stage has saved anything yet: a run that failed early binds nobody."""
    saved = (*folder.glob("*/checkpoints/[0-9]*"), *folder.glob("*/*/checkpoints/[0-9]*"))
    return not saved and not (folder / RESULTS).exists()


def _optimizer_hint(differing: list[Difference], folder: Path, allowed: bool) -> str:
    """Say when --allow_optimizer_changes would help, or why it does not."""
    if not all("optimizer" in d.name.split(".") for d in differing):
        return ""
    if allowed:
        return " (a stage with results cannot change its optimizer)"
    open_ones = all(_is_open_optimizer(d.name, folder) for d in differing)
    return ", or add --allow_optimizer_changes" if open_ones else ""


def _listing(differing: list[Difference]) -> str:
    named = "; ".join(map(str, differing[:NAMED_DIFFERENCES]))
    more = len(differing) - NAMED_DIFFERENCES
    return f"{named}; and {more} more" if more > 0 else named


def _is_open_optimizer(name: str, folder: Path) -> bool:
    stage, *inner = name.split(".")
    finished = (folder / stage / RESULTS).exists() or any((folder / stage).glob(f"*/{RESULTS}"))
    return "optimizer" in inner and not finished


def _starts_elsewhere(config: ConfigDict) -> bool:
    """Tell whether some `init_from` names a folder rather than a stage of this run."""
    sources = {text for _, text in initial_weights(config)} - {*config.get("stages", ())}
    return any(Path(parse_source(s).name).is_dir() for s in sources)


@contextmanager
def open_workdir(folder: Path, config: ConfigDict, mode: str = "train") -> Iterator[None]:
    """Create `folder` (0700), lock it, and store the config; the caller has checked it.

    Training removes the results of an earlier config or attempt, so that they are never shown for
    this one.

    Raises:
        UserError: the folder cannot be written, or another process uses it.
    """
    with ExitStack() as held:
        with _write_errors(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            held.enter_context(locked(folder))
            _store(folder, config, mode)
        yield


def _store(folder: Path, config: ConfigDict, mode: str) -> None:
    stored = _read_stored(folder)
    values = to_json(config)
    if mode == "train":
        (folder / RESULTS).unlink(missing_ok=True)
        if stored != values:
            write_json(folder / CONFIG, values)
    elif stored is None:
        write_json(folder / CONFIG, {**values, "mode": mode})


@contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        mend = "free some space" if error.errno in FULL else "name another --workdir"
        raise UserError(f"cannot write in {folder} ({error.strerror}): {mend}") from error


def finished_results(folder: Path, config: ConfigDict) -> dict[str, Any] | None:
    """Return the results of a training of exactly `config` that has ended, else None."""
    stored = _read_stored(folder)
    if stored != to_json(config) or not (folder / RESULTS).is_file():
        return None
    return read_results(folder)


def read_config(folder: Path) -> ConfigDict:
    """Return the config stored in a run's folder.

    Raises:
        UserError: `folder` holds no run.
    """
    stored = _read_stored(folder)
    if stored is None:
        raise UserError(f"{folder} holds no {CONFIG}: it is not the folder of a run")
    stored.pop("mode", None)
    return from_json(stored)


def read_results(folder: Path) -> dict[str, Any]:
    """Return results.json of a run's folder.

    Raises:
        UserError: it is missing or damaged.
    """
    results = _read_json(folder / RESULTS)
    if results is None:
        raise UserError(f"{folder} holds no {RESULTS}: the run has not finished")
    return results


def _read_stored(folder: Path) -> dict[str, Any] | None:
    return _read_json(folder / CONFIG)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: delete it or name another --workdir") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object: delete it or name another --workdir")
    return value
