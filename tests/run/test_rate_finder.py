"""The learning-rate test: where it looks, and that it is used, reported or neither."""

from types import SimpleNamespace

import numpy as np
import pytest

from medjax.run import rate_finder, stages
from tests.run import toy

TOY = SimpleNamespace(open_data=toy.open_data, build=toy.build)


def test_the_rate_where_the_loss_falls_most_steeply():
    steps = np.arange(rate_finder.STEPS)
    losses = 3 - 2 / (1 + np.exp(-(steps - 60) / 3.0))
    found = rate_finder.suggest(list(losses))
    # Smoothing looks back over some fifty steps.
    assert rate_finder.rates()[60] < found < rate_finder.rates()[75]
    assert rate_finder.rates()[[0, -1]] == pytest.approx([1.122e-7, 1e-2], rel=1e-3)


def test_a_loss_that_explodes_ends_the_test():
    losses = [3.0 - 0.01 * i for i in range(40)] + [1e9] * 60
    assert rate_finder.suggest(losses) < rate_finder.rates()[41]
    assert rate_finder.suggest([3.0] * 5) is None
    assert rate_finder.suggest([np.nan]) is None


@pytest.mark.parametrize("how", ["off", "report", "use"])
def test_the_suggestion_is_used_where_it_is_asked_for(how, tmp_path, monkeypatch, capsys):
    config = toy.config()
    config.only.optimizer.lr_finder = how
    config.only.train.epochs = 1
    seen = []

    def build(config, *rest):
        seen.append(config.only.optimizer.learning_rate)
        return toy.build(config, *rest)

    monkeypatch.setattr(rate_finder, "STEPS", 25)
    module = SimpleNamespace(**vars(TOY) | {"build": build})
    stages.run_stages(config, tmp_path, "train", module)
    written = capsys.readouterr().out
    assert ("suggests" in written) == (how != "off")
    own = config.only.optimizer.learning_rate
    trained_with = seen[-1]
    assert (trained_with == own) == (how != "use")
    if how == "use":
        assert f"suggests {trained_with:.3g}" in written
