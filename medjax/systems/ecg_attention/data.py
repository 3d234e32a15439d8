"""The prepared sets that the stages read: recordings, their texts, and a risk cohort."""

from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from medjax.data.ecg.leads import leads_of
from medjax.data.ecg.records import EcgSet, open_ecg
from medjax.errors import UserError
from medjax.systems.ecg_attention.cohort import Cohort, read_cohort
from medjax.systems.ecg_attention.demo import DemoFolders, prepare_demo
from medjax.systems.ecg_attention.finish import COHORT_KINDS
from medjax.systems.ecg_attention.texts import Texts, open_texts


class Data(NamedTuple):
    """Everything that a stage may read; None where no folder was named."""

    ecg: EcgSet | None
    texts: Texts | None
    risk: Cohort | None
    invented: bool
    """Whether it is the demo's."""

    def recordings(self, stage: str) -> EcgSet:
        """Return the recordings that pre-training and probe read.

        Raises:
            UserError: there are none.
        """
        if self.ecg is None:
            raise UserError(
                f"stage {stage} reads recordings: give --config.data.dir=FOLDER (made by `python "
                "-m medjax.prepare`)"
            )
        return self.ecg

    def texts_of(self, stage: str) -> Texts:
        """Return the text embeddings that recordings are aligned with.

        Raises:
            UserError: there are none.
        """
        if self.texts is None:
            raise UserError(
                f"stage {stage} aligns recordings with text: make embeddings with `python -m "
                "medjax.prepare ecg_text --raw=PREPARED_ECG --out=FOLDER` and give "
                f"--config.data.text_dir=FOLDER, or --config.{stage}.loss.alignment_loss=none"
            )
        return self.texts

    def cohort(self, stage: str) -> Cohort:
        """Return the recordings with event and time.

        Raises:
            UserError: there are none.
        """
        if self.risk is None:
            raise UserError(
                f"stage {stage} reads recordings with event and duration: give "
                "--config.data.risk_dir=FOLDER (made by `python -m medjax.prepare`)"
            )
        return self.risk


def open_data(config: ConfigDict, workdir: Path) -> Data:
    """Open the prepared sets that `config.data` names; the demo's where it names none."""
    options = config.data
    named = (options.dir, options.text_dir, options.risk_dir)
    folders = DemoFolders(*(Path(folder) if folder else None for folder in named))
    invented = not any(named)
    kinds = {config[stage].kind for stage in config.stages}
    if invented:
        reads_cohort = bool(COHORT_KINDS & kinds)
        folders = prepare_demo(workdir / "demo", options.demo, options.signal, reads_cohort)
    ecg = open_ecg(folders.ecg, options.signal) if folders.ecg else None
    texts = open_texts(folders.text, ecg) if folders.text and ecg else None
    risk = None
    if folders.risk and COHORT_KINDS & kinds:
        cohort = open_ecg(folders.risk, options.signal)
        risk = read_cohort(cohort, leads_of(options.leads), options.time_unit)
    return Data(ecg, texts, risk, invented)
