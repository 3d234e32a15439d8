"""The invented films with reports: same bytes, places that show, reports that say what is drawn."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.demo.film import draw_frontal
from medjax.data.demo.patients import generator
from medjax.data.demo.radiology import (
    LABELS,
    MASKS,
    PLACED,
    SHARES,
    TABLE,
    draw_film,
    draw_findings,
    write_radiology,
)
from medjax.data.radgraph.extract import extract
from medjax.data.radgraph.rules import Rules, tools_of
from medjax.data.radgraph.statements import statements_of
from medjax.data.radgraph.triplets import triplets_of
from medjax.data.radgraph.vocabulary import ENTITIES, POSITIONS, query_of
from medjax.errors import UserError

FILMS = [draw_film(i, 0, 3, 64) for i in range(80)]
RULES = Rules()


def said(text):
    triplets = triplets_of(statements_of(extract("r", text), RULES, tools_of(RULES)), RULES)
    return {(POSITIONS[t.position], ENTITIES[t.entity], t.status) for t in triplets}


def test_equal_arguments_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        write_radiology(tmp_path / name, 4, 1, width=48)
    digests = [
        {
            str(p.relative_to(tmp_path / name)): hashlib.sha256(p.read_bytes()).digest()
            for p in sorted((tmp_path / name).rglob("*"))
            if p.is_file()
        }
        for name in ("one", "two")
    ]
    assert digests[0] == digests[1] and len(digests[0]) > 8
    with pytest.raises(UserError):
        write_radiology(tmp_path, 0, 0)


def test_tables_name_images_and_masks_of_one_size_and_split_patients(tmp_path):
    write_radiology(tmp_path, 30, 2, width=48)
    films = pd.read_csv(tmp_path / TABLE, dtype=str, keep_default_na=False)
    masks = pd.read_csv(tmp_path / MASKS, dtype=str)
    assert films.groupby("patient")["split"].nunique().max() == 1
    assert (films.groupby("patient").size() > 1).any()
    assert set(films["split"]) == {"train", "validate", "test"}
    sizes = {row.image: Image.open(tmp_path / row.image).size for row in films.itertuples()}
    for row in masks.itertuples():
        mask = Image.open(tmp_path / row.mask)
        assert mask.size == sizes[row.image] and np.asarray(mask).max() == 255
    placed = {(row.image, row.label) for row in masks.itertuples()}
    labelled = {(r["image"], label) for r in films.to_dict("records") for label in PLACED
                if r[label] == "1"}  # fmt: skip
    assert placed == labelled


def test_every_finding_is_drawn_and_absent_often_enough():
    shares = {label: np.mean([film.present[label] for film in FILMS]) for label in LABELS}
    assert all(0.03 < share < 0.6 for share in shares.values()), shares
    assert shares["Pneumonia"] == shares["Consolidation"]


def test_a_report_never_contradicts_the_film():
    told = 0
    for film in FILMS:
        triplets = said(f"{film.report.findings} {film.report.impression}")
        for label in SHARES:
            statuses = {s for _, e, s in triplets if e == query_of(label)}
            assert statuses <= ({1, 2} if film.present[label] else {0}), (label, film.report)
            told += bool(statuses)
    assert told > 5 * len(FILMS)


def test_the_side_that_is_told_is_that_of_the_place():
    checked = 0
    for film in FILMS:
        triplets = said(film.report.findings)
        for label in ("Mass", "Pneumothorax", "Consolidation"):
            if not film.present[label]:
                continue
            middle = np.nonzero(film.masks[label])[1].mean() / film.image.shape[1]
            places = [p for p, e, s in triplets if e == query_of(label) and s == 1]
            sides = {p.partition("_")[0] for p in places if p.startswith(("left", "right"))}
            assert sides <= {"right" if middle < 0.5 else "left"}, film.report
            checked += len(sides)
    assert checked > 20


def test_a_place_is_where_the_film_differs():
    film = next(f for f in FILMS if f.present["Mass"] and sum(f.present.values()) == 1)
    number = next(i for i, f in enumerate(FILMS) if f is film)
    findings = draw_findings(generator(3, number, 31, 0))
    without = draw_frontal(
        findings._replace(lesion=0.0), generator(3, number, 32, 0), 64, portable=False
    )
    changed = np.abs(film.image.astype(int) - without) > 12
    assert np.array_equal(changed, film.masks["Mass"] == 1)
