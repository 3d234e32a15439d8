"""The pictures of a split: signals with their reconstructions, and a map of all latents."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from numpy.typing import NDArray

from medjax.data.ml4h_cohort.records import Participants
from medjax.run.system import Outputs
from medjax.systems.crossmodal.ecg_figure import ecg_figure
from medjax.systems.crossmodal.evaluation import pictured, signals_of
from medjax.systems.crossmodal.latent_map import make_map, map_figure
from medjax.systems.crossmodal.latents import latents_of
from medjax.systems.crossmodal.mri_figure import mri_figure

DRAWN = {"ecg": ecg_figure, "mri": mri_figure}


def signal_figures(
    outputs: Outputs, modalities: Sequence[str], count: int, title: str
) -> dict[str, Figure]:
    """Draw the first participants that have everything: each signal and what was made of it."""
    found = {}
    for number, row in enumerate(pictured(outputs, modalities, count), 1):
        for modality in modalities:
            truth, made = signals_of(outputs, modality, int(row))
            lines = {source_title(name): signal for name, signal in made.items()}
            what = f"{modality.upper()} of participant {number}: {title}"
            found[f"{modality}-{number}"] = DRAWN[modality](truth, lines, what)
    return found


def source_title(name: str) -> str:
    """Return how a reconstruction is called: "own latent", or "from ECG"."""
    source = name.partition("_from_")[2]
    return f"from {source.upper()}" if source else "own latent"


def latent_figure(
    outputs: Outputs,
    participants: Participants,
    phenotypes: Sequence[str],
    method: str,
    seed: int,
    title: str,
) -> dict[str, Figure]:
    """Draw the map of a split's latents; {} where there are too few."""
    positions = outputs["position"]
    latents = latents_of(participants.sample_id[positions], outputs)
    made = make_map(latents, method, seed)
    if made is None:
        return {}
    values: Mapping[str, NDArray] = dict(zip(phenotypes, participants.phenotypes[positions].T))
    return {"latent_map": map_figure(made, values, f"Latents: {title}")}
