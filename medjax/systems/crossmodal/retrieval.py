"""Which MRI belongs to an ECG, and the other way round, told by the latents alone."""

from collections.abc import Sequence

import numpy as np

from medjax.metrics.metric import Metric
from medjax.metrics.retrieval import cosines, effective_rank, mean_cosine, retrieval_metrics
from medjax.systems.crossmodal.latents import Latents


def paired_retrieval(latents: Latents, at: Sequence[int] = (1, 5, 10)) -> dict[str, Metric]:
    """Return how well the latents of one modality find those of the other, by cosine.

    Those count who have both modalities: each is a query, and all are its candidates. Recall at k
    has a 95 % interval over queries. Beside it stand the mean cosine of pairs, and how far each
    modality's latents have collapsed.
    """
    left, right = list(latents.vectors)[:2]
    both = latents.has[left] & latents.has[right]
    first, second = (latents.vectors[name][both] for name in (left, right))
    if len(first) < 2:
        reason = "fewer than two participants have both modalities"
        return {"retrieval/pair_cosine": Metric(None, reason=reason)}
    found = {"retrieval/pair_cosine": Metric(float(cosines(first, second).mean()), n=len(first))}
    found |= retrieval_metrics(
        first, second, np.arange(len(first)), (left, right), at, intervals=True
    )
    for name, space in ((left, first), (right, second)):
        found[f"collapse/{name}_mean_cosine"] = Metric(mean_cosine(space), n=len(space))
        found[f"collapse/{name}_effective_rank"] = Metric(effective_rank(space), n=len(space))
    return found
