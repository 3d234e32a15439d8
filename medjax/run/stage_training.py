"""Train a stage, or its replicas together, and score every one by itself."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

from medjax.run import sharding
from medjax.run.evaluate import EVALUATION, Predictor
from medjax.run.inspection import inspect_stage
from medjax.run.rate_finder import settle_rate
from medjax.run.report.metrics_log import MetricsLog
from medjax.run.report.tables import parameter_table
from medjax.run.signals import catch_signals
from medjax.run.stage import Stage, say
from medjax.run.system import System
from medjax.run.train import train
from medjax.run.training import Lane, Timing, Training


def train_and_evaluate(
    runs: Sequence[Stage],
) -> Iterator[tuple[dict[str, dict[str, Any]], dict[str, float]]]:
    """Train (unless the stage has nothing to train), then yield each one's metrics and seconds.

    runs: one stage, or the replicas of one that train in one compiled step.
    """
    settle_rate(runs)
    systems = [run.build() for run in runs]
    residents = sharding.place_residents([system.resident for system in systems], runs[0].mesh)
    built = [
        (run, system, run.predictor(system, resident))
        for run, system, resident in zip(runs, systems, residents, strict=True)
    ]
    timing = train_built(built) if systems[0].updates else Timing()
    for run, system, predictor in built:
        variables = run.best_variables(system, predictor)
        yield run.fit_and_score(system, predictor, variables), timing.to_json()


def train_built(built: Sequence[tuple[Stage, System, Predictor]]) -> Timing:
    """Train stages to their end, from their newest checkpoints if there are some."""
    run, system, predictor = built[0]
    first = run.initial_state(system, predictor)
    say(parameter_table(first.variables["params"], system.updates))
    if run.config.get("inspect_model", False):
        inspect_stage(run, system, predictor, first)
    states = chain([first], (r.initial_state(s, p) for r, s, p in built[1:]))
    validation = run.options.train.validation_split
    if not system.plan(validation, EVALUATION):
        say(f"  the {validation} split is empty: no weights can be chosen as the best")
    with ExitStack() as opened:
        training = Training(
            stage=run.name,
            lanes=tuple(
                Lane(
                    label=run.label,
                    system=system,
                    predictor=predictor,
                    checkpoints=run.checkpoints,
                    log=opened.enter_context(MetricsLog(run.folder)),
                )
                for run, system, predictor in built
            ),
            options=run.options.train,
            mesh=run.mesh,
            parameters=run.config.sharding.parameters,
            threads=run.config.loader.threads,
            workers=run.config.loader.workers,
            signals=opened.enter_context(catch_signals()),
            say=say,
        )
        train(training, states)
    return training.timing
