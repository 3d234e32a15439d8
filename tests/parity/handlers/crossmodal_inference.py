"""Latent vectors of a folder of HD5 files, as the tables that `infer_encoders` writes."""

import tempfile
from pathlib import Path

import numpy as np

from medjax.data.ml4h_cohort.tensormaps import EcgOptions, MriOptions
from medjax.systems.crossmodal.choices import ID_COLUMNS
from medjax.systems.crossmodal.inference import encoders_of, infer_latents, read_sample_csv
from medjax.systems.crossmodal.latents import write_latents
from medjax.systems.crossmodal.model import CrossModal
from medjax.systems.crossmodal.names import to_variables
from tests.parity.handlers.crossmodal_networks import architecture
from tests.parity.harness import Case, handles

OPTIONS = {"ecg_hyperparameters", "mri_hyperparameters", "tsv_style", "files", "sample_csv", "id"}
SHAPES = {"ecg": [600, 12], "mri": [96, 96, 50]}
ECG = EcgOptions(instance=0, require_text=True)
MRI = MriOptions("top_left", "padded")


@handles("crossmodal", "infer_encoders", config=OPTIONS | {"gelu_approximate"})
def infer_encoders(case: Case) -> dict[str, np.ndarray]:
    """Write the files, encode the folder, and read the tables back byte by byte."""
    config = case.config
    stored = {n.removeprefix("hd5:"): x for n, x in case.inputs.items() if n.startswith("hd5:")}
    assert set(stored) == set(config["files"])
    modalities = tuple(
        (n, architecture(config[f"{n}_hyperparameters"], shape, config["gelu_approximate"]))
        for n, shape in SHAPES.items()
    )
    encoders = encoders_of(CrossModal(modalities), to_variables(case.weights), missing="skip")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "hd5").mkdir()
        for sample_id, content in stored.items():
            (folder / "hd5" / f"{sample_id}.hd5").write_bytes(content.tobytes())
        wanted = None
        if config["sample_csv"] is not None:
            lines = ["sample_id", *map(str, config["sample_csv"])]
            (folder / "list.csv").write_text("\n".join(lines) + "\n")
            wanted = read_sample_csv(folder / "list.csv", "drop_first_line")
        inferred = infer_latents(folder / "hd5", encoders, ECG, MRI, batch_size=3, wanted=wanted)
        out = folder / "out"
        write_latents(out, inferred.latents, config["id"], config["tsv_style"])
        return _read_back(out, config["id"], config["tsv_style"])


def _read_back(folder: Path, run: str, style: str) -> dict[str, np.ndarray]:
    """Names of the tables, and what stands in each."""
    files = sorted(path.name for path in folder.glob("*.tsv"))
    outputs = {"files": np.array(files, str)}
    count = len(ID_COLUMNS[style])
    for file in files:
        stem = file.removeprefix("hidden_").removesuffix(f"_{run}.tsv")
        text = (folder / file).read_bytes().decode()
        lines = text.split("\n")
        assert lines.pop() == ""
        crlf = all(line.endswith("\r") for line in lines)
        head, *rows = (line.rstrip("\r").split("\t") for line in lines)
        outputs[f"{stem}.header"] = np.array(head, str)
        outputs[f"{stem}.ids"] = np.array([row[:count] for row in rows], str).reshape(-1, count)
        latents = np.array([row[count:] for row in rows], np.float32)
        outputs[f"{stem}.latents"] = latents.reshape(-1, len(head) - count)
        outputs[f"{stem}.line_ending"] = np.array("crlf" if crlf else "lf")
    return outputs
