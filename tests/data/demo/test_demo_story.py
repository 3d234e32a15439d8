"""What the invented patients die of: part is seen in the series, part on the film."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from medjax.data.demo.patients import CHRONIC, RISK, SEEN_IN_SERIES, SEEN_ON_FILM, draw_story
from medjax.metrics.ranking import auroc


@pytest.fixture(scope="module")
def admissions():
    return draw_story(4000, seed=3).admissions


def reachable(admissions, states: tuple[str, ...]) -> float:
    """The AUROC of death that a perfect reading of these states gives, on the other half."""
    known, died = admissions[list(states)].to_numpy(), admissions.died.to_numpy()
    half = np.arange(len(died)) % 2 == 0
    model = LogisticRegression(C=10).fit(known[half], died[half])
    return auroc(died[~half], model.predict_proba(known[~half])[:, 1])


def test_both_kinds_of_states_tell_much_more_than_either(admissions):
    # The heart's size moves the diastolic pressure, and is seen on the film: it counts for both.
    series = reachable(admissions, (*SEEN_IN_SERIES, *CHRONIC))
    film = reachable(admissions, (*SEEN_ON_FILM, "heart_size"))
    both = reachable(admissions, (*SEEN_IN_SERIES, *SEEN_ON_FILM, *CHRONIC))
    assert abs(series - film) < 0.05, "no modality is the better one by the story"
    assert both > max(series, film) + 0.1
    assert both < 0.99, "chance keeps its part"


def test_the_two_kinds_of_states_exclude_each_other_a_little(admissions):
    states = [*SEEN_IN_SERIES, *SEEN_ON_FILM]
    between = admissions[states].corr().loc[list(SEEN_IN_SERIES), list(SEEN_ON_FILM)].to_numpy()
    assert between.min() > -0.25
    assert between.max() < 0
    spread = admissions.loc[admissions.number == 0, states].std()
    assert spread.between(0.95, 1.05).all(), "every state stays standard normal"


def test_every_state_of_the_risk_is_seen_somewhere():
    assert set(RISK) <= {*SEEN_IN_SERIES, *SEEN_ON_FILM, *CHRONIC}
