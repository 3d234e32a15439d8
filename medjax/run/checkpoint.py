"""Checkpoints that are trusted only when their digests match; otherwise the previous good one is.

    <stage>/checkpoints/<step>/arrays/        the state, by Orbax
    <stage>/checkpoints/<step>/digests.json   SHA-256 of every file, what else a resume needs, and
                                              which step was the best when this one was saved

A step is made under a temporary name and renamed when complete, so that a numbered folder was
once whole. The best step is noted inside each step rather than beside them: whichever step a run
falls back to, "best" is what that step knew.
"""

import logging
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from medjax.errors import UserError
from medjax.run.arrays import read_arrays, write_arrays
from medjax.run.digests import DamagedError, check, read_seal, seal

_log = logging.getLogger(__name__)

_ARRAYS = "arrays"
_UNFINISHED = (".saving-", ".removing-")


class Checkpoints:
    """The checkpoints of one stage; the last `keep_last` steps and their best steps are kept.

    In a run of many processes all of them call `save` and `restore`, on one shared folder; the
    first decides and writes what is not an array.
    """

    def __init__(self, folder: Path, keep_last: int = 2):
        if keep_last < 1:
            raise ValueError("keep_last must be at least 1")
        self.folder = Path(folder)
        self.keep_last = keep_last
        self._damaged: set[int] = set()

    def save(self, step: int, state: Any, extra: Mapping[str, Any], best: bool = False) -> None:
        """Save `state` (a pytree of arrays and keys) and `extra` (JSON values) as `step`.

        Older steps that are no longer kept go, and so do steps after `step`: a run that saves
        here has left them behind. Raises UserError when the disk is full or refuses; the older
        checkpoints are then as they were.
        """
        temporary = self.folder / f"{_UNFINISHED[0]}{step}"
        try:
            _on_first_process(self._clean)
            specs = write_arrays(temporary / _ARRAYS, state)
            content = {"step": step, "extra": dict(extra), "arrays": specs}
            _on_first_process(lambda: self._publish(temporary, content, best))
        except (OSError, ValueError, RuntimeError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            reason = _storage_problem(error)
            if reason is None:
                raise
            raise UserError(
                f"cannot save step {step} in {self.folder}: {reason}; mend that and repeat the "
                "command, which goes on from the last checkpoint"
            ) from error

    def restore(
        self, template: Any | None = None, which: str | int = "last"
    ) -> tuple[int, Any, dict[str, Any]] | None:
        """Return (step, state, extra) of the "last" good step, the "best", or a step by number.

        The state has the structure and shardings of `template` (arrays or
        `jax.ShapeDtypeStruct`), on however many devices; without one it is nested dicts of numpy
        arrays named by path. A damaged step is named in a warning and the newest good one used
        instead; a damaged best step likewise. None when the folder has no checkpoint. Raises
        UserError when none is good, when a step asked for by number is not, when it is of another
        model or another format of medjax, and for another word.
        """
        step = _decided_by_first_process(lambda: self._choose(which))
        if step is None:
            return None
        content = read_seal(self._path(step))["content"]
        state = read_arrays(self._path(step) / _ARRAYS, content["arrays"], template)
        return step, state, content["extra"]

    def steps(self) -> list[int]:
        """Return the steps at hand, ascending; their digests are not verified here."""
        return sorted(self._contents())

    def best_step(self) -> int | None:
        """Return the step that was best when the newest one was saved, None when none was."""
        contents = self._contents()
        return contents[max(contents)]["best"] if contents else None

    def _choose(self, which: str | int) -> int | None:
        if isinstance(which, int):
            problem = self._problem(which)
            if problem:
                raise UserError(
                    f"checkpoint {self._path(which)} cannot be used: {problem}; the steps there "
                    f"are {', '.join(str(s) for s in self.steps()) or 'none'}"
                )
            return which
        if which not in ("last", "best"):
            raise UserError(
                f"checkpoint {which!r} of {self.folder} is not 'last', 'best' or a step"
            )
        if not self._numbered():
            return None
        newest = self._newest_good()
        best = read_seal(self._path(newest))["content"]["best"]
        if which == "last" or best in (None, newest):
            return newest
        problem = self._problem(best)
        if problem:
            _log.warning(
                "best checkpoint %s: %s; step %d is used", self._path(best), problem, newest
            )
        return newest if problem else best

    def _newest_good(self) -> int:
        problems = []
        for step in reversed(self._numbered()):
            problem = self._problem(step)
            if problem is None:
                return step
            self._damaged.add(step)
            problems.append(f"step {step}: {problem}")
            _log.warning("checkpoint %s: %s; the one before it is tried", self._path(step), problem)
        raise UserError(
            f"no checkpoint in {self.folder} is whole ({'; '.join(problems)}): remove that folder "
            "to train anew"
        )

    def _problem(self, step: int) -> str | None:
        if not self._path(step).is_dir():
            return "it is missing"
        try:
            check(self._path(step))
        except DamagedError as error:
            return str(error)
        return None

    def _publish(self, temporary: Path, content: Mapping[str, Any], best: bool) -> None:
        step = content["step"]
        older = {s: c for s, c in self._contents().items() if s <= step}
        known_best = older[max(older)]["best"] if older else None
        seal(temporary, {**content, "best": step if best else known_best})
        target = self._path(step)
        if target.exists():
            self._remove(target)
        temporary.rename(target)
        _flush_folder(self.folder)
        self._damaged.discard(step)
        self._prune(step)

    def _prune(self, newest: int) -> None:
        contents = {s: c for s, c in self._contents().items() if s <= newest}
        kept = set(sorted(contents)[-self.keep_last :])
        kept |= {contents[step]["best"] for step in kept}
        for step in self._numbered():
            if step not in kept:
                self._remove(self._path(step))

    def _remove(self, path: Path) -> None:
        """Remove a step so that a kill half-way leaves no numbered folder."""
        doomed = self.folder / f"{_UNFINISHED[1]}{path.name}"
        shutil.rmtree(doomed, ignore_errors=True)
        path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _clean(self) -> None:
        """Make the folder, without what killed saves left there."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith(_UNFINISHED):
                shutil.rmtree(path)

    def _numbered(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name) for p in self.folder.iterdir() if re.fullmatch(r"\d+", p.name))

    def _contents(self) -> dict[int, dict[str, Any]]:
        """What the steps with a whole seal say of themselves; those found damaged are left out."""
        contents = {}
        for step in self._numbered():
            if step not in self._damaged:
                try:
                    contents[step] = read_seal(self._path(step))["content"]
                except DamagedError:
                    continue
        return contents

    def _path(self, step: int) -> Path:
        return self.folder / str(step)


def _storage_problem(error: Exception) -> str | None:
    """Why the disk refused, or None when `error` is something else."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    found = re.search(r"([^:]+?) \[os_error_code", str(error))  # TensorStore's own wording
    return found[1].strip() if found else None


def _flush_folder(folder: Path) -> None:
    """Make renames inside `folder` outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _on_first_process(action: Callable[[], None]) -> None:
    """Run `action` on process 0; every process goes on only when it has succeeded."""
    _decided_by_first_process(action)


def _decided_by_first_process(decide: Callable[[], int | None]) -> int | None:
    """Return on every process what `decide` gives on process 0; its errors stop them all."""
    if jax.process_count() == 1:
        return decide()
    none, failed = -1, -2
    answer, error = none, None
    if jax.process_index() == 0:
        try:
            decision = decide()
            answer = none if decision is None else decision
        except (UserError, OSError) as e:
            answer, error = failed, e
    answer = int(multihost_utils.broadcast_one_to_all(np.int32(answer)))
    if error is not None:
        raise error
    if answer == failed:
        raise UserError("process 0 stopped at a checkpoint: its own message says why")
    return None if answer == none else answer
