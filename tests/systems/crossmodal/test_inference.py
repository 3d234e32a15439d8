"""A folder of HD5 files to latent vectors: batched, in order, counting what cannot be used."""

from pathlib import Path

import jax
import numpy as np
import pytest

from medjax.data.ml4h_cohort.tensormaps import EcgOptions, MriOptions
from medjax.errors import UserError
from medjax.systems.crossmodal.architecture import Architecture
from medjax.systems.crossmodal.inference import encoders_of, infer_latents, read_sample_csv
from medjax.systems.crossmodal.model import CrossModal, make_init
from tests.data.ml4h_cohort.hd5_files import write_ecg, write_mri

SMALL = {"conv_layers": (3,), "dense_blocks": (4,), "block_size": 2, "dense_layers": (6,)}
MODEL = CrossModal(
    (
        ("ecg", Architecture((60, 12), conv_width=(5,), **SMALL)),
        ("mri", Architecture((16, 16, 5), **SMALL)),
    ),
    "average",
)
ECG, MRI = EcgOptions(samples=60), MriOptions(height=16, width=16, frames=5)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(make_init(MODEL))(jax.random.key(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five participants: both, both, without MRI, a lead missing, and a file that is none."""
    for seed, name in enumerate(("40", "10", "30")):
        write_ecg(tmp_path / f"{name}.hd5", seed)
        if name != "30":
            write_mri(tmp_path / f"{name}.hd5", seed)
    write_ecg(tmp_path / "20.HD5", 5, leads=("I", "II"))
    write_mri(tmp_path / "20.HD5", 5)
    (tmp_path / "50.hd5").write_text("no HDF5")
    write_ecg(tmp_path / "below" / "60.hd5")
    (tmp_path / "notes.txt").write_text("")
    return tmp_path


def test_every_file_that_can_be_used_is_encoded_in_order(folder: Path, variables) -> None:
    inferred = infer_latents(folder, encoders_of(MODEL, variables), ECG, MRI, batch_size=2)
    latents = inferred.latents
    assert list(latents.sample_id) == ["10", "20", "30", "40", "50"]
    assert list(latents.has["ecg"]) == [True, False, True, True, False]
    assert list(latents.has["mri"]) == [True, True, False, True, False]
    assert inferred.skipped == {
        "ecg": {"a lead is missing": 1, "not a readable HD5 file; fetch it again": 1},
        "mri": {"no long-axis cine in the file": 1, "not a readable HD5 file; fetch it again": 1},
    }
    # The size of a batch changes no number.
    for size in (1, 64):
        other = infer_latents(folder, encoders_of(MODEL, variables), ECG, MRI, batch_size=size)
        for name in ("ecg", "mri"):
            assert latents.vectors[name].shape == (5, 6)
            np.testing.assert_allclose(
                other.latents.vectors[name], latents.vectors[name], rtol=1e-5, atol=1e-6
            )


def test_a_list_and_a_single_encoder(folder: Path, variables) -> None:
    encoders = encoders_of(MODEL, variables, ["ecg"])
    inferred = infer_latents(folder, encoders, ECG, MRI, wanted={"10", "40", "99"})
    assert list(inferred.latents.sample_id) == ["10", "40"]
    assert list(inferred.latents.vectors) == ["ecg"] and inferred.skipped == {"ecg": {}}
    with pytest.raises(UserError, match="no file of a participant in the list"):
        infer_latents(folder, encoders, ECG, MRI, wanted={"99"})


def test_an_encoder_without_weights_is_an_error_or_left_out(variables) -> None:
    params = {n: p for n, p in variables["params"].items() if n != "encoder_mri"}
    with pytest.raises(UserError, match="no encoder of mri"):
        encoders_of(MODEL, {"params": params})
    assert list(encoders_of(MODEL, {"params": params}, missing="skip")) == ["ecg"]


def test_sizes_of_files_and_weights_must_agree(folder: Path, variables) -> None:
    with pytest.raises(UserError, match=r"encoder of ecg reads \(60, 12\)"):
        infer_latents(folder, encoders_of(MODEL, variables), EcgOptions(), MRI)


@pytest.mark.parametrize(
    "content, detected, dropped",
    [
        ("sample_id\n1\n2\n", {"1", "2"}, {"1", "2"}),
        ("1\n2\n3\n", {"1", "2", "3"}, {"2", "3"}),
        ("age,mrn\n50,1\n60,2\n", {"1", "2"}, {"50", "60"}),
    ],
)
def test_headers_of_lists(content: str, detected: set, dropped: set, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(content)
    assert read_sample_csv(path) == detected
    assert read_sample_csv(path, "drop_first_line") == dropped
