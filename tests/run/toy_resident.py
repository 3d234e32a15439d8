"""The toy system with its features on the devices: batches carry positions into them."""

import numpy as np

from medjax.run.system import System
from tests.run import toy


def build(*arguments) -> System:
    """Return the toy system of a stage, as `toy.build` does."""
    system = toy.build(*arguments)
    data = arguments[2]
    offsets = dict(zip(data, np.cumsum([0] + [len(x) for x, _ in data.values()])))

    def collate(split, epoch, plan, rows):
        batch = dict(system.collate(split, epoch, plan, rows))
        chosen = plan.indices[rows]
        position = np.zeros(len(batch.pop("x")), np.int32)
        position[: len(chosen)] = offsets[split] + chosen
        return {**batch, "position": position}

    def looked_up(batch):
        rows = batch["features"][batch["position"]] * batch["mask"][:, None]
        return {"x": rows, "y": batch["y"], "mask": batch["mask"]}

    update = system.updates[0]
    loss = update.loss
    return system._replace(
        init=lambda key, batch: system.init(key, looked_up(batch)),
        updates=(update._replace(loss=lambda v, batch, *rest: loss(v, looked_up(batch), *rest)),),
        predict=lambda v, batch, key: system.predict(v, looked_up(batch), key),
        collate=collate,
        resident={"features": np.concatenate([x for x, _ in data.values()])},
    )
