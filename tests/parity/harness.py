"""Parity cases: reading them, dispatching on (system, kind), comparing outputs.

A case is a folder `<system>/<case>` with `case.json`, `inputs.npz` and `outputs.npz`, recorded from
an original implementation. A handler runs our code on the inputs and gives back arrays by the
names of outputs.npz:

    @handles("medfuse", "lstm_encoder", config={"dim", "layers"})
    def lstm_encoder(case: Case) -> dict[str, np.ndarray]: ...

`config` names every option that the handler knows; a case with another one fails, so that no
option is ignored without a decision.
"""

import functools
import importlib
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HANDLERS = Path(__file__).parent / "handlers"
ALL = frozenset({"*"})


class ParityError(AssertionError):
    """A case that cannot be served, or an output that differs."""


def named_tensor(name: str, shape: Collection[int], kind: str, std: float) -> np.ndarray:
    """Draw the tensor that belongs to a name; the same numbers on every machine.

    Args:
        name: published name; its CRC-32 seeds a PCG64 generator.
        shape: shape of the tensor.
        kind: `normal` N(0, std^2); `around1` 1 + normal; `positive` 0.5 + |normal|; `zeros`,
            `ones`; `count` (int64 zeros).
        std: standard deviation of the normal draw.
    """
    shape = tuple(shape)
    fixed = {
        "zeros": lambda: np.zeros(shape, np.float32),
        "ones": lambda: np.ones(shape, np.float32),
        "count": lambda: np.zeros(shape, np.int64),
    }
    if kind in fixed:
        return fixed[kind]()
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    values = generator.standard_normal(shape, dtype=np.float32) * np.float32(std)
    if kind == "normal":
        return values
    if kind == "around1":
        return np.float32(1) + values
    if kind == "positive":
        return np.float32(0.5) + np.abs(values)
    raise ParityError(f"{name}: unknown kind of weight {kind!r}")


@dataclass(frozen=True)
class Case:
    """One recorded run of an original implementation."""

    folder: Path

    @functools.cached_property
    def record(self) -> dict[str, Any]:
        """The content of case.json."""
        return json.loads((self.folder / "case.json").read_text())

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def key(self) -> tuple[str, str]:
        """(system, kind): what a handler is registered under."""
        return self.record["system"], self.record["kind"]

    @property
    def config(self) -> dict[str, Any]:
        """Options of the original, by the original's names."""
        return self.record["config"]

    @functools.cached_property
    def inputs(self) -> dict[str, np.ndarray]:
        """Arrays fed to the original, by argument, stored or drawn by name."""
        stored = {k: v for k, v in self._arrays("inputs").items() if not k.startswith("weight:")}
        drawn = {entry["argument"]: _draw(entry) for entry in self.record.get("drawn_inputs", ())}
        return {**stored, **drawn}

    @functools.cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """The original's state dict, in its order, by published names."""
        entries = self.record["weights"]
        stored: Mapping[str, np.ndarray] = {}
        if any(entry.get("kind") == "stored" for entry in entries):
            stored = self._arrays("inputs")
        return {
            entry["name"]: stored["weight:" + entry["name"]]
            if entry.get("kind") == "stored"
            else _draw(entry)
            for entry in entries
        }

    @functools.cached_property
    def expected(self) -> dict[str, np.ndarray]:
        """What the original gave, by output name."""
        return self._arrays("outputs")

    def _arrays(self, stem: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / f"{stem}.npz", allow_pickle=False) as file:
            return dict(file)


def _draw(entry: Mapping[str, Any]) -> np.ndarray:
    kind, std = entry.get("kind", "normal"), entry.get("std", 0.05)
    return named_tensor(entry["name"], entry["shape"], kind, std)


Handler = Callable[[Case], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Registered:
    """A handler and what it declares."""

    run: Handler
    config: frozenset[str]
    asserts: frozenset[str]


_registry: dict[tuple[str, str], Registered] = {}


def handles(
    system: str, kind: str, *, config: Collection[str] = (), asserts: Collection[str] = ()
) -> Callable[[Handler], Handler]:
    """Register a function as the handler of the cases of one kind.

    Args:
        system, kind: the two keys of case.json.
        config: the options the handler knows; `ALL` where their names are the case's own and the
            handler checks them.
        asserts: outputs that the handler checks by itself (properties, not arrays) and need not
            give back; `ALL` for every one.
    """

    def register(function: Handler) -> Handler:
        if (system, kind) in _registry:
            raise ParityError(f"two handlers for {system}/{kind}")
        _registry[system, kind] = Registered(function, frozenset(config), frozenset(asserts))
        return function

    return register


@functools.cache
def _load(system: str) -> None:
    for path in sorted(HANDLERS.glob(f"{system}_*.py")):
        importlib.import_module(f"tests.parity.handlers.{path.stem}")


def handler_of(system: str, kind: str) -> Registered | None:
    """The handler of a kind, None where there is none; handlers of the system are imported."""
    _load(system)
    return _registry.get((system, kind))


def find_cases(folder: Path, system: str | None = None) -> list[Case]:
    """Every `<system>/<case>/case.json` under a folder, sorted."""
    pattern = f"{system or '*'}/*/case.json"
    return [Case(path.parent) for path in sorted(folder.glob(pattern))]


def check(case: Case) -> None:
    """Run the case's handler and compare every output.

    Raises:
        ParityError: no handler, an option it does not know, an output missing or out of tolerance.
    """
    handler = handler_of(*case.key)
    if handler is None:
        raise ParityError(f"{case.name}: no handler for the kind {'/'.join(case.key)}")
    unknown = sorted(set(case.config) - handler.config)
    if unknown and not handler.config & ALL:
        raise ParityError(f"{case.name}: options unknown to the handler: {', '.join(unknown)}")
    outputs = handler.run(case) or {}
    if faults := list(_differences(case, handler.asserts, outputs)):
        raise ParityError("\n".join([f"{case.name}:", *faults]))


def _differences(case: Case, asserted: frozenset[str], outputs: Mapping[str, Any]) -> Iterator[str]:
    for name, reference in case.expected.items():
        if name in outputs:
            fault = difference(np.asarray(outputs[name]), reference, tolerance(case.record, name))
            if fault:
                yield f"  {name}: {fault}"
        elif name not in asserted and not asserted & ALL:
            yield f"  {name}: missing"


def tolerance(record: Mapping[str, Any], name: str) -> dict[str, float]:
    """The tolerance of one output: that of the longest matching prefix, else the case's own."""
    prefixes = {
        prefix: value
        for prefix, value in record.get("tolerances", {}).items()
        if prefix != "note" and name.startswith(prefix)
    }
    if prefixes:
        return prefixes[max(prefixes, key=len)]
    return {"rtol": record["rtol"], "atol": record["atol"]}


def difference(ours: np.ndarray, reference: np.ndarray, limits: Mapping[str, float]) -> str:
    """Say how an output differs from its reference, "" where it does not.

    Floats: max|ours - reference| <= atol + rtol * max|reference|, with NaN and infinities in the
    same places; `first_loss_rtol` bounds the first entry relative to itself. All else: exactly.
    """
    if unknown := set(limits) - {"rtol", "atol", "first_loss_rtol"}:
        raise ParityError(f"unknown tolerance {', '.join(sorted(unknown))}")
    if ours.shape != reference.shape:
        return f"shape {ours.shape}, reference {reference.shape}"
    if reference.dtype.kind != "f":
        same_kind = ours.dtype.kind == reference.dtype.kind or {
            ours.dtype.kind,
            reference.dtype.kind,
        } <= set("iub")
        if not same_kind:
            return f"dtype {ours.dtype}, reference {reference.dtype}"
        unequal = int(np.sum(ours != reference))
        return f"{unequal} of {reference.size} values differ" if unequal else ""
    if ours.dtype.kind not in "fiub":
        return f"dtype {ours.dtype}, reference {reference.dtype}"
    return _float_difference(ours.astype(np.float64), reference.astype(np.float64), limits)


def _float_difference(ours: np.ndarray, reference: np.ndarray, limits: Mapping[str, float]) -> str:
    finite = np.isfinite(reference)
    if not np.array_equal(np.isfinite(ours), finite) or not np.array_equal(
        ours[~finite], reference[~finite], equal_nan=True
    ):
        return "NaN or infinite in other places"
    if not finite.any():
        return ""
    worst = float(np.max(np.abs(ours[finite] - reference[finite])))
    allowed = limits["atol"] + limits["rtol"] * float(np.max(np.abs(reference[finite])))
    if worst > allowed:
        return f"max difference {worst:.3g}, allowed {allowed:.3g}"
    if "first_loss_rtol" in limits:
        first, expected = float(ours.flat[0]), float(reference.flat[0])
        if abs(first - expected) > limits["first_loss_rtol"] * abs(expected):
            return f"first value {first:.7g}, reference {expected:.7g}"
    return ""
