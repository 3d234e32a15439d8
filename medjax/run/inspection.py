"""`config.inspect_model`: what a network is made of, and what a step of it costs, before training.

Steps are timed on a copy of the state: a run that was inspected gives the same numbers as one that
was not. `<stage>/inspection.json` holds seconds an example, of training and of prediction; the
system's own pictures and tables of the network stand with those of the run.
"""

import time
from collections.abc import Callable
from typing import Any

import jax

from medjax.files import write_json
from medjax.run import plots, sharding
from medjax.run.evaluate import Predictor
from medjax.run.report.comparison import write_table
from medjax.run.stage import Stage, say
from medjax.run.step import TrainState, make_train_step
from medjax.run.system import System, with_resident

TIMED = 5
"""Steps and predictions whose mean is told, after one that compiles."""


def inspect_stage(run: Stage, system: System, predictor: Predictor, state: TrainState) -> None:
    """Draw the network, time some steps, and write what was found; the state is left as it is."""
    inspection = system.inspect()
    if jax.process_index() == 0:
        for stem, figure in inspection.figures.items():
            plots.save_figure(figure, run.workdir / "plots" / f"{run.name}-{stem}.png")
        for stem, table in inspection.tables.items():
            write_table(table, run.workdir / "tables", f"{run.name}-{stem}")
    plan = system.plan("train", 0)[0]
    rows = sharding.row_share(run.mesh).rows(plan.size)
    batch = sharding.put_batch(system.collate("train", 0, plan, rows), run.mesh)
    step = jax.jit(make_train_step(system, run.options.train.accumulation))
    predict = jax.jit(
        lambda variables, batch, resident, key: system.predict(
            variables, with_resident(batch, resident), key
        )
    )
    resident = predictor.resident
    seconds = {
        "train_seconds_per_example": timed(step, state, batch, resident) / plan.size,
        "predict_seconds_per_example": timed(predict, state.variables, batch, resident, run.key)
        / plan.size,
    }
    count = sum(leaf.size for leaf in jax.tree.leaves(state.variables["params"]))
    if jax.process_index() == 0:
        write_json(
            run.folder / "inspection.json",
            {**seconds, "batch": plan.size, "parameters": count},
        )
    train, predicted = (1e3 * value for value in seconds.values())
    say(
        f"  {count:,} parameters; an example takes {train:.1f} ms in training, "
        f"{predicted:.1f} ms in prediction"
    )


def timed(run: Callable[..., Any], *arguments: Any) -> float:
    """Return the mean seconds of a call of a compiled function."""
    jax.block_until_ready(run(*arguments))
    start = time.perf_counter()
    for _ in range(TIMED):
        jax.block_until_ready(run(*arguments))
    return (time.perf_counter() - start) / TIMED
