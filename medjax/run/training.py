"""What a training works with: what its replicas share, and each replica's lane."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from medjax.run.checkpoint import Checkpoints
from medjax.run.evaluate import Predictor
from medjax.run.position import Position
from medjax.run.report.metrics_log import MetricsLog
from medjax.run.signals import Signals
from medjax.run.system import BatchPlan, System


@dataclass
class Timing:
    """Seconds of a training: never part of its results. Steps and examples are of all replicas."""

    compile_seconds: float = 0.0
    step_seconds: float = 0.0
    steps: int = 0
    examples: int = 0
    evaluation_seconds: float = 0.0

    def to_json(self) -> dict[str, float]:
        """Return the figures of timing.json."""
        seconds = max(self.step_seconds, 1e-9)
        return {
            "compile_seconds": self.compile_seconds,
            "train_seconds": self.step_seconds,
            "evaluation_seconds": self.evaluation_seconds,
            "steps": self.steps,
            "steps_per_second": self.steps / seconds,
            "examples_per_second": self.examples / seconds,
        }


@dataclass(eq=False)
class Lane:
    """One replica in a training: its functions, its folder, and where it stands.

    Its arrays are no part of it: those of all lanes are in one state (`medjax.run.lanes`).
    """

    label: str
    """The stage and, where it has copies, which one."""
    system: System
    predictor: Predictor
    checkpoints: Checkpoints
    log: MetricsLog
    position: Position = field(default_factory=Position)
    step: int = 0
    """Batches seen since the start."""
    plans: Sequence[BatchPlan] = ()
    """The batches of the epoch at hand."""

    def advance(self) -> None:
        """Count one more batch."""
        self.step += 1
        self.position = self.position._replace(batch=self.position.batch + 1)


@dataclass
class Training:
    """A stage's training: one lane, or those of replicas that train together."""

    stage: str
    """Its name in the config."""
    lanes: tuple[Lane, ...]
    options: ConfigDict
    """The stage's `train` section."""
    mesh: Mesh
    parameters: str
    """"replicated" or "sharded"."""
    threads: int
    workers: int
    signals: Signals
    say: Callable[[str], None]
    resident: Mapping[str, jax.Array] = field(default_factory=dict)
    """`System.resident` of all lanes on the devices."""
    timing: Timing = field(default_factory=Timing)
    compiled: dict[tuple, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What progress is told of."""
        if len(self.lanes) == 1:
            return self.lanes[0].label
        return f"{self.stage}, {len(self.lanes)} replicas"
