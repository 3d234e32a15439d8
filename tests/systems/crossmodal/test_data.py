"""What the stages read, and what they say when it is not there."""

import pytest

from medjax.errors import UserError
from medjax.systems.crossmodal.data import Data
from tests.systems.crossmodal.cohorts import make_cohort


def test_ecgs_of_another_source_serve_the_stage_of_ecgs_alone():
    both, beats = make_cohort(), make_cohort(mri=False)
    data = Data(both, beats, False)
    assert data.of_stage("ecg", ("ecg",)) is beats
    assert data.of_stage("mri", ("mri",)) is both
    assert data.of_stage("paired", ("ecg", "mri")) is both


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (Data(None, make_cohort(mri=False), False), "stage mri reads MRI: give --config.data.dir"),
        (Data(make_cohort(mri=False), None, False), "stage mri reads MRI and the .* has none"),
    ],
)
def test_a_stage_without_its_signals_says_what_to_prepare(data, sentence):
    with pytest.raises(UserError, match=sentence):
        data.of_stage("mri", ("mri",))
