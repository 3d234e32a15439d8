"""One mesh over all devices of all hosts: batches are split over it, parameters copied or sharded.

The mesh has Auto axes, so the same program runs on one core or on many hosts and XLA inserts the
communication; losses see the global batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

DATA_AXIS = "data"


def make_mesh() -> Mesh:
    """Return a one-dimensional mesh over every device of every process."""
    return jax.make_mesh((jax.device_count(),), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """The axis of the rows is split over the devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, DATA_AXIS))


def state_shardings(state: Any, mesh: Mesh, parameters: str) -> Any:
    """Return a sharding for every leaf of `state`.

    parameters: "replicated", or "sharded" (FSDP): every leaf is split over the devices along its
    longest axis that they divide; leaves without such an axis are copied. Optimiser moments have
    the shapes of their parameters and so lie beside them.
    """
    devices = mesh.size

    def sharding(leaf: Any) -> NamedSharding:
        shape = np.shape(leaf)
        divisible = [axis for axis, size in enumerate(shape) if size % devices == 0 and size > 0]
        if parameters == "replicated" or not divisible:
            return replicated(mesh)
        longest = max(divisible, key=lambda axis: shape[axis])
        return NamedSharding(mesh, PartitionSpec(*[None] * longest, DATA_AXIS))

    return jax.tree.map(sharding, state)


def place(tree: Any, shardings: Any) -> Any:
    """Put equal values of every process onto the devices of all of them.

    shardings: one for all leaves, or a tree of them.
    """
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)

    def put(leaf: Any, sharding: NamedSharding) -> jax.Array:
        if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = put(jax.random.key_data(leaf), sharding)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return leaf if leaf.sharding == sharding else jax.device_put(leaf, sharding)
        value = np.asarray(leaf)
        return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])

    if isinstance(shardings, NamedSharding):
        return jax.tree.map(lambda leaf: put(leaf, shardings), tree)
    return jax.tree.map(put, tree, shardings)


def place_residents(residents: Sequence[Mapping[str, Any]], mesh: Mesh) -> list[dict[str, Any]]:
    """Put the `System.resident` of every replica whole onto every device.

    An array that equals the first replica's of that name is put there once for both.
    """
    first = {name: (array, place(array, replicated(mesh))) for name, array in residents[0].items()}

    def placed(name: str, array: Any) -> jax.Array:
        known = first.get(name)
        if known is not None and (array is known[0] or np.array_equal(array, known[0])):
            return known[1]
        return place(array, replicated(mesh))

    return [{n: placed(n, array) for n, array in resident.items()} for resident in residents]


class RowShare(NamedTuple):
    """Which rows of every padded global batch this process makes; plain numbers, for workers."""

    devices: int
    process: int
    processes: int

    def rows(self, size: int) -> slice:
        """Return this process's rows of a batch of `size`, padded to a multiple of the devices."""
        share = -(-size // self.devices) * self.devices // self.processes
        return slice(self.process * share, (self.process + 1) * share)


def row_share(mesh: Mesh) -> RowShare:
    """Return the share of this process."""
    return RowShare(mesh.size, jax.process_index(), jax.process_count())


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh, axis: int = 0) -> dict[str, jax.Array]:
    """Make global arrays of this process's rows [rows / processes, ...], which stand in `axis`."""
    sharding = batch_sharding(mesh, axis)
    return {
        name: jax.make_array_from_process_local_data(sharding, array)
        for name, array in batch.items()
    }


def fetch(array: jax.Array) -> np.ndarray:
    """Bring a whole array to every host."""
    if jax.process_count() == 1:
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))
