"""Maps keep neighbours together, and equal arguments give equal maps."""

import numpy as np
import pytest

from medjax.metrics.projection import METHODS, project

RNG = np.random.default_rng(0)
GROUP = np.repeat([0, 1, 2], 30)
FEATURES = 8 * RNG.normal(size=(3, 12))[GROUP] + RNG.normal(size=(90, 12))


@pytest.mark.parametrize("method", METHODS)
def test_groups_stay_apart_and_maps_repeat(method: str) -> None:
    points = project(FEATURES, method, seed=3)
    assert points.shape == (90, 2) and np.isfinite(points).all()
    np.testing.assert_array_equal(points, project(FEATURES, method, seed=3))
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (GROUP[distance.argmin(1)] == GROUP).mean() > 0.95


def test_few_points_and_few_features() -> None:
    assert project(RNG.normal(size=(4, 1)), "pca").shape == (4, 2)
    assert project(RNG.normal(size=(5, 3)), "tsne").shape == (5, 2)
    with pytest.raises(ValueError, match="fewer than 4"):
        project(RNG.normal(size=(3, 3)))
    with pytest.raises(ValueError, match="no projection 'umap'"):
        project(FEATURES, "umap")
