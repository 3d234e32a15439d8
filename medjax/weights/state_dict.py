"""Where the weights stand in what a checkpoint holds, and the prefixes of their names."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from medjax.weights.errors import MalformedError
from medjax.weights.tensors import Tensor
from medjax.weights.unpickle import Opaque

CONTAINERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "module")
"""Keys under which training scripts keep the weights, the first that is there."""

PREFIXES = ("module.", "model.", "net.", "_orig_mod.")
"""What wrappers put before every name: DataParallel, Lightning, torch.compile."""


JOINED = "*"
"""In place of a key: every set of weights stands under a key of its own, the first part of its
names."""


def find_state_dict(
    saved: Any, sets: Collection[str] = ()
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return (key of the weights, weights by name, plain values beside them).

    sets: keys of sets of weights that belong together; where only these are there, they are joined,
    each name behind its key and a dot, and the key of the weights is JOINED.

    Raises:
        MalformedError: no weights are there, or it is not clear which are meant.
    """
    if isinstance(saved, Opaque):
        raise MalformedError(
            f"it holds a whole object ({saved.name}), not its weights: save them with "
            "torch.save(model.state_dict(), ...)"
        )
    if not isinstance(saved, dict):
        raise MalformedError("it holds no dictionary of weights")
    if _holds_tensors(saved):
        return "", _named(saved), {}
    extra = {
        name: value for name, value in saved.items() if isinstance(name, str) and _is_plain(value)
    }
    for name in CONTAINERS:
        if _holds_tensors(saved.get(name)):
            return name, _named(saved[name]), extra
    others = [name for name, value in saved.items() if _holds_tensors(value)]
    if len(others) == 1 and others[0] not in sets:
        return str(others[0]), _named(saved[others[0]]), extra
    if others and set(others) <= set(sets):
        joined = {f"{key}.{n}": v for key in others for n, v in _named(saved[key]).items()}
        return JOINED, joined, extra
    if others:
        names = ", ".join(sorted(map(str, others)))[:200]
        raise MalformedError(f"it holds several sets of weights ({names}); save one of them alone")
    held = ", ".join(sorted(map(str, saved)))[:200]
    raise MalformedError(f"it holds no weights, only {held or 'an empty dictionary'}")


def nested(tensors: Mapping[str, Any], container: str) -> dict[str, Any]:
    """Return weights as they lie in a file whose weights have the key `container`."""
    if container != JOINED:
        return {container: tensors} if container else dict(tensors)
    found: dict[str, dict[str, Any]] = {}
    for name, value in tensors.items():
        key, _, rest = name.partition(".")
        found.setdefault(key, {})[rest] = value
    return dict(found)


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    return value is None or isinstance(value, int | float)


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(inner, Tensor) for inner in value.values())


def _named(weights: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: value for name, value in weights.items() if isinstance(name, str)}


def common_prefix(names: Iterable[str]) -> str:
    """Return a wrapper's prefix that all names bear, or ""."""
    names = list(names)
    for prefix in PREFIXES:
        if names and all(name.startswith(prefix) for name in names):
            return prefix
    return ""
