"""The synthetic raw files go through the same `prepare` as real ones, and end as whole sets."""

from pathlib import Path

import numpy as np
import pytest

from medjax.data.demo.icu import write_icu
from medjax.data.demo.xray import write_cxr
from medjax.data.prepared import open_set
from medjax.prepare import parse

PATIENTS, SEED = 150, 7
# In the order of the discretiser; 59 values come before the 17 masks of a bin.
NEVER_IN_MIMIC_IV = {0: "Capillary refill rate", 5: "Glascow coma scale total"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("demo")
    write_icu(root / "iv", PATIENTS, SEED)
    write_cxr(root / "cxr", PATIENTS, SEED, width=64)
    for source, raw, out, option in (
        ("mimic_iv", "iv", "icu", "--workers=1"),
        ("mimic_cxr", "cxr", "xray", f"--ehr={root / 'icu'}"),
    ):
        module, args = parse([source, f"--raw={root / raw}", f"--out={root / out}", option])
        module.prepare(args)
    return root / "icu", root / "xray"


def test_every_channel_that_mimic_iv_has_is_measured(prepared):
    train = open_set(prepared[0], "in_hospital_mortality").splits["train"]
    measured = np.zeros(17)
    for k in range(len(train)):
        measured += train[k]["series"][:, 59:].max(axis=0)
    absent = set(np.flatnonzero(measured == 0))
    assert absent == set(NEVER_IN_MIMIC_IV)


def test_all_phenotypes_and_both_outcomes_occur(prepared):
    for task, labels in (("phenotyping", 25), ("in_hospital_mortality", 1)):
        train = open_set(prepared[0], task).splits["train"]
        y = np.array([train[k]["labels"] for k in range(len(train))])
        assert y.shape[1] == labels
        assert ((y.sum(0) > 0) & (y.sum(0) < len(y))).all()


def test_about_half_of_the_stays_have_a_film(prepared):
    icu, xray = prepared
    stays = open_set(icu, "in_hospital_mortality").splits
    links = open_set(xray, "icu_links_in_hospital_mortality").splits
    total = sum(len(split) for split in stays.values())
    linked = sum(len(split) for split in links.values())
    assert 0.4 < linked / total < 0.8
    films = open_set(xray, "xray").splits
    assert set(films) == {"train", "validation", "test"}
