"""The cohort that the stages read, and which of its participants each of them takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from medjax.data.ml4h_cohort.records import Cohort, Participants, open_cohort
from medjax.errors import UserError
from medjax.systems.crossmodal.demo import prepare_demo

AVERAGED = 2048
"""Participants whose mean signal is the constant guess that a reconstruction is held against."""
BLOCK = 256
"""Participants read at once."""


class Data(NamedTuple):
    """Everything that a stage may read; None where no folder was named."""

    cohort: Cohort | None
    ecg: Cohort | None
    """For a stage of ECGs alone, in place of the cohort: the median beats of another source."""
    invented: bool
    """Whether it is the demo's."""

    def of_stage(self, name: str, modalities: tuple[str, ...]) -> Cohort:
        """Return what a stage of these modalities reads.

        Raises:
            UserError: nothing is at hand, or it has no MRI.
        """
        alone = modalities == ("ecg",)
        found = self.ecg if alone and self.ecg is not None else self.cohort
        if found is None:
            raise UserError(
                f"stage {name} reads {' and '.join(m.upper() for m in modalities)}: give "
                "--config.data.dir=FOLDER (made by `python -m medjax.prepare ml4h_cohort`)"
            )
        for modality in modalities:
            if not any(has(p, modality).any() for p in found.splits.values()):
                raise UserError(
                    f"stage {name} reads {modality.upper()} and the prepared cohort has none: "
                    "prepare one with `python -m medjax.prepare ml4h_cohort`, or choose other "
                    "--config.stages"
                )
        return found


def has(participants: Participants, modality: str) -> np.ndarray:
    """Return which participants [n] have a modality."""
    return {"ecg": participants.has_ecg, "mri": participants.has_mri}[modality]


def shape_of(cohort: Cohort, modality: str) -> tuple[int, ...]:
    """Return the shape of one signal, channels last."""
    return {"ecg": cohort.ecg_shape, "mri": cohort.mri_shape}[modality]


def open_data(config: ConfigDict, workdir: Path) -> Data:
    """Open the prepared sets that `config.data` names; the demo's where it names none."""
    check_encoders(config, workdir)
    options = config.data
    if options.dir is None and options.ecg_dir is None:
        return Data(open_cohort(prepare_demo(workdir / "demo", options.demo)), None, True)
    folders = (Path(d) if d else None for d in (options.dir, options.ecg_dir))
    cohort, ecg = (open_cohort(folder) if folder else None for folder in folders)
    data = Data(cohort, ecg, False)
    for name in config.stages:  # None is to be refused after others have been trained.
        data.of_stage(name, tuple(config[name].model.modalities))
    return data


def check_encoders(config: ConfigDict, workdir: Path) -> None:
    """Raise UserError for a stage that trains nothing and was not told whose weights to use."""
    for name in config.stages:
        stage = config[name]
        if not (stage.model.decoders or stage.init_from or (workdir / name).is_dir()):
            raise UserError(
                f"stage {name} gives latents of trained encoders and none are named: give "
                f"--config.{name}.init_from=FOLDER, or encoder_ecg:FOLDER,encoder_mri:FOLDER"
            )


def signals(participants: Participants, modality: str, positions: np.ndarray) -> np.ndarray:
    """Return signals of a modality [positions, *shape], zeros where there is none."""
    return {"ecg": participants.ecg, "mri": participants.mri}[modality](positions)


def mean_signals(cohort: Cohort, modalities: Sequence[str]) -> dict[str, np.ndarray]:
    """Return {modality: mean signal of the train split}; {} where there is no such split.

    Of a large split the first `AVERAGED` who have the modality tell enough.
    """
    if "train" not in cohort.splits:
        return {}
    train, means = cohort.splits["train"], {}
    for modality in modalities:
        rows = np.flatnonzero(has(train, modality))[:AVERAGED]
        total = np.zeros(shape_of(cohort, modality))
        for start in range(0, len(rows), BLOCK):
            total += signals(train, modality, rows[start : start + BLOCK]).sum(0, np.float64)
        means[modality] = (total / max(len(rows), 1)).astype(np.float32)
    return means
