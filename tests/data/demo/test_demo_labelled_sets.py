"""Invented films of SIIM and CheXpert: same bytes, masks and labels that the films show."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.demo.labelled_sets import (
    CHEXPERT_FOLDER,
    SIIM_IMAGES,
    draw_siim_film,
    runs_of,
    write_chexpert,
    write_siim,
)
from medjax.data.siim import SIDE, read_runs
from medjax.data.xray.regions import Region, draw
from medjax.errors import UserError

SEED, WIDTH = 3, 40


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("write", [write_siim, write_chexpert])
def test_equal_arguments_give_equal_bytes(write, tmp_path) -> None:
    for name in "ab":
        write(tmp_path / name, 6, SEED, width=WIDTH)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    with pytest.raises(UserError):
        write(tmp_path / "none", 0, SEED, width=WIDTH)


def test_air_outside_the_lung_is_darker_and_comes_back_from_its_runs() -> None:
    films = [draw_siim_film(number, SEED, WIDTH) for number in range(12)]
    placed = [(image, place) for image, place in films if place.any()]
    assert 2 <= len(placed) <= 10
    for image, place in placed:
        assert image[place].mean() < image[~place].mean()
        runs = tuple(read_runs(runs_of(place)))
        mask = draw(Region("a", "Pneumothorax", size=(SIDE, SIDE), runs=runs), None)
        at = np.arange(SIDE) * WIDTH // SIDE
        np.testing.assert_array_equal(mask, place[np.ix_(at, at)])


def test_siims_table_names_every_film_once(tmp_path) -> None:
    write_siim(tmp_path, 8, SEED, width=WIDTH)
    table = pd.read_csv(tmp_path / "train-rle.csv")
    assert table.columns.tolist() == ["ImageId", " EncodedPixels"]
    files = {path.stem for path in (tmp_path / SIIM_IMAGES).glob("*.png")}
    assert files == set(table["ImageId"]) and len(table) == 8


def test_chexperts_tables_name_its_films_and_tests_are_certain(tmp_path) -> None:
    write_chexpert(tmp_path, 20, SEED, width=WIDTH)
    train, valid = (pd.read_csv(tmp_path / f"{part}.csv") for part in ("train", "valid"))
    for path in [*train["Path"], *valid["Path"]]:
        assert Image.open(tmp_path / path.removeprefix(f"{CHEXPERT_FOLDER}/")).width == WIDTH
    patients = [set(table["Path"].str.extract(r"(patient\d+)")[0]) for table in (train, valid)]
    assert not patients[0] & patients[1]
    assert (train.iloc[:, 5:] == -1).any().any() and set(np.unique(valid.iloc[:, 5:])) == {0, 1}
