"""One stage of a run: build, start from other weights, fit, evaluate, write, draw."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from medjax.errors import UserError, nearest
from medjax.files import write_json
from medjax.run import init_from, plots, sharding
from medjax.run.checkpoint import Checkpoints
from medjax.run.compilation import call_once
from medjax.run.evaluate import EVALUATION, Predicted, Predictor, score, write_predictions
from medjax.run.fit import fit, read_fitted
from medjax.run.replicas import Replica
from medjax.run.report.comparison import write_table
from medjax.run.report.metrics_log import read_rows
from medjax.run.step import TrainState, init_state
from medjax.run.system import Outputs, System, Variables, with_resident
from medjax.run.training import Timing


def say(text: str) -> None:
    """Print a line on process 0."""
    if jax.process_index() == 0:
        print(text, flush=True)


class Stage:
    """One stage of a run, or a replica of it: what it is built from, and what is done with it."""

    def __init__(
        self,
        replica: Replica,
        name: str,
        workdir: Path,
        mesh: Mesh,
        module: ModuleType,
        data: Any,
        pictures: bool = True,
    ) -> None:
        config = replica.config
        self.config, self.name, self.workdir = config, name, workdir
        self.replica, self.label, self.pictures = replica, replica.label(name), pictures
        self.options: ConfigDict = config[name]
        self.folder = workdir / self.label
        self.mesh, self.module, self.data = mesh, module, data
        self.key = jax.random.fold_in(jax.random.key(config.seed), zlib.crc32(name.encode()))
        self.checkpoints = Checkpoints(self.folder / "checkpoints")
        self.place = init_from.Place(workdir, tuple(config.stages), name, replica.name)

    def build(self) -> System:
        """Return the system to train, and store its artefacts."""
        system = self.module.build(self.config, self.name, self.data, None)
        self.final_splits(system)
        if jax.process_index() == 0:
            write_json(self.folder / "artefacts.json", system.artefacts)
        return system

    def initial_state(self, system: System, predictor: Predictor) -> TrainState:
        """Return the state before the first step."""
        variables = self.initial_variables(system, predictor.resident)
        return init_state(system, variables, jax.random.fold_in(self.key, 2))

    def best_variables(self, system: System, predictor: Predictor) -> Variables:
        """Return the trained weights, or those that a stage with nothing to train starts with."""
        if system.updates:
            return init_from.read_variables(init_from.Source(self.folder, "best"))
        variables = self.initial_variables(system, predictor.resident)
        self.checkpoints.save(0, init_state(system, variables, self.key), {}, best=True)
        return variables

    def fit_and_score(
        self, system: System, predictor: Predictor, variables: Variables
    ) -> dict[str, dict[str, Any]]:
        """Fit what the stage fits on the outputs of these weights, then score them."""
        predicted: Predicted = {}
        if system.fit is not None:
            predicted = {s: predictor.split(variables, s) for s in system.fit_splits}
            artefacts = {**system.artefacts, "fitted": fit(system, predicted, self.folder)}
            system = self.module.build(self.config, self.name, self.data, artefacts)
        return self.score(system, predictor, variables, predicted)

    def evaluate(self) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
        """Score existing weights: the run's best, or those of `init_from` with no training run."""
        system, variables = self.trained()
        return self.score(system, self.predictor(system), variables), Timing().to_json()

    def predict(self) -> None:
        """Write the predictions of every split of the data at hand; labels may be absent."""
        system, variables = self.trained()
        predictor = self.predictor(system)
        predicted: Predicted = {}
        for split in system.splits:
            positions, outputs = predictor.split(variables, split)
            if len(positions):
                path = self.folder / f"predictions-{split}.parquet"
                write_predictions(path, system, split, positions, outputs)
                say(f"  {len(positions)} predictions in {path}")
                self.draw_pages(system, variables, split, outputs)
                predicted[split] = positions, outputs
        self.export(system, predicted)

    def trained(self) -> tuple[System, Variables]:
        """Return the system and its trained weights."""
        given: Any = self.options.init_from
        source = init_from.Source(self.folder, "best")
        in_parts = not (self.checkpoints.steps() or isinstance(given, str))
        if not self.checkpoints.steps():
            text = given[0][1] if in_parts else given
            source = init_from.find_source(text, self.place)
        artefacts = init_from.read_artefacts(source)
        artefacts["fitted"] = read_fitted(source.folder)
        system = self.module.build(self.config, self.name, self.data, artefacts)
        if system.fit is not None and not artefacts["fitted"]:
            raise UserError(
                f"{source.folder} holds weights but nothing fitted, which stage {self.name} needs: "
                "run the stage in --mode=train"
            )
        example = with_resident(self.example_batch(system), system.resident)
        shapes = jax.eval_shape(system.init, self.key, example)
        if in_parts:
            return system, init_from.joined(shapes, given, self.place)
        return system, init_from.fitting(shapes, source)

    def initial_variables(self, system: System, resident: Mapping[str, jax.Array]) -> Variables:
        """Return the variables before the first step: fresh ones and what `init_from` names."""
        example = with_resident(self.example_batch(system), resident)
        fresh = call_once(system.init, self.key, example)
        wanted = self.options.init_from
        given = init_from.named_weights(fresh, wanted, self.place, system.may_lack)
        return system.begin(jax.random.fold_in(self.key, 3), fresh, given)

    def example_batch(self, system: System) -> dict[str, Any]:
        """Return the first batch at hand, for its shapes."""
        for split in system.splits:
            epoch = 0 if split == "train" else EVALUATION
            plans = system.plan(split, epoch)
            if plans:
                return dict(system.collate(split, epoch, plans[0], slice(0, plans[0].size)))
        raise UserError(
            f"stage {self.name}: no split holds a whole batch; lower "
            f"{self.name}.train.global_batch_size, or prepare more data"
        )

    def final_splits(self, system: System) -> tuple[str, ...]:
        """Return the splits to score in the end; the data must have them."""
        for split in self.options.train.final_splits:
            if split not in system.splits:
                raise UserError(
                    f"{self.name}.train.final_splits: the data have no split {split!r}, only "
                    f"{', '.join(system.splits)}{nearest(split, system.splits)}"
                )
        return self.options.train.final_splits

    def predictor(
        self, system: System, resident: Mapping[str, jax.Array] | None = None
    ) -> Predictor:
        """Return the predictor of this stage; `resident` where its arrays are on the devices."""
        loader = self.config.loader
        if resident is None:
            (resident,) = sharding.place_residents([system.resident], self.mesh)
        return Predictor(
            system,
            self.mesh,
            jax.random.fold_in(self.key, 1),
            resident=resident,
            threads=loader.threads,
            workers=loader.workers,
            say=say,
        )

    def score(
        self,
        system: System,
        predictor: Predictor,
        variables: Variables,
        known: Predicted | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Score the stage's splits, write predictions and plots, return the metrics as JSON.

        `known` is what these weights predicted already.
        """
        splits = self.final_splits(system)
        metrics, predicted = score(system, predictor, variables, splits, final=True, known=known)
        if self.pictures and jax.process_index() == 0:
            self.draw(system, predicted, metrics)
        if jax.process_index() == 0:
            self.write_tables(system, metrics)
        for split, (positions, outputs) in predicted.items():
            if len(positions):
                path = self.folder / f"predictions-{split}.parquet"
                write_predictions(path, system, split, positions, outputs)
                self.draw_pages(system, variables, split, outputs)
        return {
            split: {name: metric.to_json() for name, metric in sorted(of_split.items())}
            for split, of_split in metrics.items()
        }

    def draw(self, system: System, predicted: Mapping, metrics: Mapping) -> None:
        """Draw learning curves and the system's own plots into the run's `plots` folder."""
        folder = self.workdir / "plots"
        prefix = self.label.replace("/", "-")
        train_options = self.options.train
        rows = read_rows(self.folder / "metrics.jsonl")
        if rows:
            figure = plots.learning_curves(
                rows, train_options.monitor, self.label, train_options.monitor_mode
            )
            plots.save_figure(figure, folder / f"{prefix}-learning_curves.png")
        outputs = {split: pair[1] for split, pair in predicted.items() if len(pair[0])}
        for split in outputs:
            for stem, figure in system.draw(split, outputs, metrics[split]).items():
                plots.save_figure(figure, folder / f"{prefix}-{split}-{stem}.png")

    def draw_pages(
        self, system: System, variables: Variables, split: str, outputs: Outputs
    ) -> None:
        """Draw the system's pages of single examples into the stage's `pages` folder."""
        if not self.pictures or jax.process_index() != 0:
            return
        folder, drawn = self.folder / "pages", 0
        for stem, figure in system.pages(variables, split, outputs):
            plots.save_figure(figure, folder / f"{split}-{stem}.png")
            drawn += 1
        if drawn:
            say(f"  {drawn} pages of the {split} split in {folder}")

    def export(self, system: System, predicted: Predicted) -> None:
        """Let the system write its own files of all predictions into the stage's folder."""
        if jax.process_index() == 0:
            for line in system.export(self.folder, predicted):
                say(f"  {line}")

    def write_tables(self, system: System, metrics: Mapping) -> None:
        """Write the system's own tables into the run's `tables` folder."""
        prefix = self.label.replace("/", "-")
        for split, of_split in metrics.items():
            for stem, table in system.tables(split, of_split).items():
                write_table(table, self.workdir / "tables", f"{prefix}-{split}-{stem}")
