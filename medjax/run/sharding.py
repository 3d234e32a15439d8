"""One mesh over all devices of all hosts: batches are split over it, parameters copied or sharded.

The mesh has Auto axes, so the same program runs on one core or on many hosts and XLA inserts the
communication; losses see the global batch.
"""

from collections.abc import Mapping
from typing import Any

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


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The leading axis is split over the devices."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


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


def padded_rows(rows: int, mesh: Mesh) -> int:
    """Round a batch size up to a multiple of the number of devices."""
    return -(-rows // mesh.size) * mesh.size


def local_rows(rows: int, mesh: Mesh) -> slice:
    """Return the rows of a padded global batch that this process provides."""
    share = padded_rows(rows, mesh) // jax.process_count()
    return slice(jax.process_index() * share, (jax.process_index() + 1) * share)


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Make global arrays of this process's rows [rows / processes, ...]."""
    sharding = batch_sharding(mesh)
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
