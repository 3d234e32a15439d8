"""Features in two dimensions, to look at: principal components or t-SNE."""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

METHODS = {"pca": "principal components", "tsne": "t-SNE"}
PERPLEXITY = 30.0
"""Of t-SNE, about how many neighbours count; fewer where there are few points."""
COMPONENTS = 50
"""Principal components that t-SNE reads."""


def project(features: NDArray, method: str = "tsne", seed: int = 0) -> NDArray[np.float64]:
    """Return points [n, 2] for features [n, width]; equal arguments give equal points.

    Args:
        features: n at least 4.
        method: one of `METHODS`.
        seed: of t-SNE, which starts from the principal components.

    Raises:
        ValueError: the method is unknown, or there are fewer than 4 rows.
    """
    if method not in METHODS:
        raise ValueError(f"no projection {method!r}: there are {', '.join(METHODS)}")
    x = np.asarray(features, np.float64)
    if len(x) < 4:
        raise ValueError("fewer than 4 rows make no map")
    components = 2 if method == "pca" else min(COMPONENTS, *x.shape)
    components = min(components, *x.shape)
    reduced = PCA(components, svd_solver="full").fit_transform(x)
    if method == "tsne":
        perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
        return tsne.fit_transform(reduced).astype(np.float64)
    return np.pad(reduced, [(0, 0), (0, 2 - reduced.shape[1])])
