"""A pytree of arrays as a folder, by Orbax, and back onto any number of devices.

The tree is stored as nested dicts named by its paths, whatever its classes (a field of an optax
state is stored under its name), so that a checkpoint can be read without them. Each leaf is
described by a text such as "float32[3,4]" or "key:threefry2x32[]".
"""

import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from medjax.errors import UserError

Specs = Mapping[str, Any]
"""Nested dicts whose leaves are the descriptions of arrays."""

_KEY_KINDS = ("threefry2x32", "rbg", "unsafe_rbg")


def write_arrays(folder: Path, tree: Any) -> dict[str, Any]:
    """Write the arrays of `tree` below `folder`, which must not exist yet; return their specs.

    Leaves are jax or numpy arrays, typed PRNG keys and Python numbers. In a run of many
    processes, all of them must call this.
    """
    leaves = _by_path(tree)
    stored = {p: _storable(x) for p, x in leaves.items() if np.size(x)}  # Orbax refuses size 0
    with _quiet():
        ocp.Checkpointer(ocp.StandardCheckpointHandler()).save(
            folder.absolute(), args=ocp.args.StandardSave(_nest(stored))
        )
    return _nest({path: describe(leaf) for path, leaf in leaves.items()})


def read_arrays(folder: Path, specs: Specs, template: Any | None = None) -> Any:
    """Read what `write_arrays` wrote into the structure, shardings and kinds of `template`.

    A template leaf may be an array or a `jax.ShapeDtypeStruct`; numpy leaves come back as numpy
    arrays. Without a template the result is nested dicts of numpy arrays (keys stay jax keys).
    Raises UserError naming the leaves whose shape or dtype differ, are missing or unexpected.
    """
    saved = _by_path(specs)
    if template is None:
        targets = {path: _numpy_target(spec) for path, spec in saved.items()}
    else:
        targets = _by_path(template)
        _compare(folder, saved, {path: describe(leaf) for path, leaf in targets.items()})
    wanted = {p: _storage_target(x) for p, x in targets.items() if math.prod(np.shape(x))}
    with _quiet():
        restored = ocp.Checkpointer(ocp.StandardCheckpointHandler()).restore(
            folder.absolute(), args=ocp.args.StandardRestore(_nest(wanted))
        )
    found = _by_path(restored)
    leaves = {p: _from_storage(found.get(p), targets[p], saved[p]) for p in targets}
    if template is None:
        return _nest(leaves)
    return jax.tree.unflatten(jax.tree.structure(template), list(leaves.values()))


def describe(leaf: Any) -> str:
    """Return dtype and shape of an array, a key or a `jax.ShapeDtypeStruct` as one text."""
    dtype = getattr(leaf, "dtype", np.asarray(leaf).dtype if np.isscalar(leaf) else None)
    name = f"key:{_key_kind(dtype)}" if _is_key(leaf) else jnp.dtype(dtype).name
    return f"{name}[{','.join(str(n) for n in np.shape(leaf))}]"


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _key_kind(dtype: Any) -> str:
    for kind in _KEY_KINDS:
        if _key_struct(kind, ()).dtype == dtype:
            return kind
    raise ValueError(f"keys of type {dtype} cannot be saved: use one of {', '.join(_KEY_KINDS)}")


def _key_struct(kind: str, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jax.eval_shape(lambda: jax.random.key(0, impl=kind)).dtype)


def _storable(leaf: Any) -> Any:
    if _is_key(leaf):
        return jax.random.key_data(leaf)
    return leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)


def _numpy_target(spec: str) -> Any:
    """What stands for a leaf when there is no template: no memory is used for its values."""
    parts = re.fullmatch(r"(key:)?(\w+)\[([\d,]*)\]", spec)
    if parts is None:
        raise ValueError(f"not a description of an array: {spec}")
    shape = tuple(int(n) for n in parts[3].split(",") if n)
    if parts[1]:
        return _key_struct(parts[2], shape)
    return np.broadcast_to(np.zeros((), jnp.dtype(parts[2])), shape)


def _storage_target(leaf: Any) -> Any:
    """The form in which Orbax gives back the leaf: shape, dtype and place."""
    if not isinstance(leaf, jax.Array | jax.ShapeDtypeStruct):
        return np.asarray(leaf)
    data = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
    return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=_place(leaf))


def _place(leaf: Any) -> jax.sharding.Sharding:
    return leaf.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])


def _from_storage(value: Any, target: Any, spec: str) -> Any:
    if value is None:  # an array of size 0, which Orbax does not store
        empty = np.zeros(np.shape(target), jnp.dtype(spec.split("[")[0]))
        on_device = isinstance(target, jax.Array | jax.ShapeDtypeStruct)
        return jax.device_put(empty, _place(target)) if on_device else empty
    if _is_key(target):
        return jax.random.wrap_key_data(value, impl=_key_kind(target.dtype))
    return value


def _by_path(tree: Any) -> dict[tuple[str, ...], Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {tuple(jax.tree_util.keystr((k,), simple=True) for k in p): x for p, x in leaves}
    if len(named) != len(leaves):
        raise ValueError("two leaves of the tree have the same path when written as text")
    return named


def _nest(leaves: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        node = tree
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = leaf
    return tree


def _compare(folder: Path, saved: Mapping[Any, str], here: Mapping[Any, str]) -> None:
    differences = [
        f"{'/'.join(p)} is {saved.get(p, 'absent')} there and {here.get(p, 'absent')} here"
        for p in sorted(saved.keys() | here.keys())
        if saved.get(p) != here.get(p)
    ]
    if differences:
        more = f" (and {len(differences) - 5} more)" if len(differences) > 5 else ""
        raise UserError(
            f"checkpoint {folder.parent} is of another model: {'; '.join(differences[:5])}{more}: "
            "use the config it was trained with, or another workdir"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back Orbax's log lines; its errors are raised as well."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
