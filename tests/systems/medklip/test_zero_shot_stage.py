"""What a zero-shot stage asks for: labels by their entities, and a disease that is described."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.systems.medklip.zero_shot_stage import described, truth_of, what_is_asked

LABELS = ("Effusion", "Pleural_Thickening", "Rare")


def stage(**options) -> ConfigDict:
    return ConfigDict({"labels": (), "disease": None, "description": None, **options})


def asked(**options):
    options = stage(**options)
    return what_is_asked("zero_shot", options, LABELS, [name for name, _ in described(options)])


def test_labels_are_scored_by_their_entities() -> None:
    found = asked()
    assert found.names == ("Effusion", "Pleural_Thickening")
    assert found.queries == ("effusion", "thicken") and found.columns == (0, 1)


def test_a_disease_is_described_or_named() -> None:
    assert described(stage(disease="Rare", description="a rare thing")) == [
        ("asked: Rare", "a rare thing")
    ]
    assert described(stage(disease="covid-19")) == [("asked: covid-19", "covid-19")]
    assert described(stage(disease="effusion")) == []
    found = asked(disease="Rare", description="a rare thing", labels=("Effusion",))
    assert found.names == ("Effusion", "Rare") and found.columns == (0, 2)
    assert found.queries == ("effusion", "asked: Rare")
    unlabelled = asked(disease="covid-19")
    assert unlabelled.columns[-1] == -1


def test_a_known_disease_may_be_described_anew() -> None:
    found = asked(disease="Effusion", description="fluid around the lung")
    assert found.queries[found.names.index("Effusion")] == "asked: Effusion"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ("Efusion",)}, "no label 'Efusion'; did you mean 'Effusion'"),
        ({"labels": ("Rare",)}, r"--config\.zero_shot\.disease='Rare'"),
    ],
)
def test_what_nothing_scores(options, message) -> None:
    with pytest.raises(UserError, match=message):
        asked(**options)
    with pytest.raises(UserError, match="nothing to score"):
        what_is_asked("zero_shot", stage(), ("Rare",), [])


def test_truth_of_what_the_table_does_not_know() -> None:
    outputs = {"labels": np.array([[1.0, 0, 1]]), "known": np.array([[True, False, True]])}
    truth = truth_of(outputs, asked(disease="covid-19"))
    np.testing.assert_array_equal(truth, [[1, np.nan, np.nan]])
