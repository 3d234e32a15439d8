"""Pages of films with the attention of a query drawn over them."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from medjax.data.radgraph.vocabulary import query_of
from medjax.run.system import Outputs
from medjax.systems.medklip.data import Data
from medjax.systems.medklip.saliency import Overlay, choose_examples, saliency_page
from medjax.systems.medklip.views import evaluation_view


def overlay_pages(
    films: Data,
    split: str,
    findings: Sequence[str],
    outputs: Outputs,
    size: int,
    count: int,
    title: str,
) -> Iterator[tuple[str, Figure]]:
    """Yield a page of every finding that any film of a split has.

    Args:
        films: the data.
        split: of the outputs.
        findings: one a column of the outputs.
        outputs: "attention" [film, finding, patch], "score" [film, finding], "position" [film].
        size: of the view in pixels.
        count: films of a page; 0: no page.
        title: follows the head of each page.
    """
    for index, finding in enumerate(findings if count else ()):
        overlays = overlays_of(films, split, finding, outputs, index, size, count)
        if overlays:
            head = f"Where the query for {finding} looks{title}"
            yield f"attention-{file_stem(finding)}", saliency_page(overlays, head)


def overlays_of(
    films: Data, split: str, finding: str, outputs: Outputs, index: int, size: int, count: int
) -> list[Overlay]:
    """Return films that have a finding, with the attention of its query and its place.

    Of films that nothing is known of, those of the highest scores.
    """
    here, positions = films.splits[split], outputs["position"]
    label = same_finding(finding, films.film_labels)
    column = films.film_labels.index(label) if label else -1
    labels = here.labels[positions, column] if label else np.full(len(positions), np.nan)
    place = same_finding(finding, films.region_labels)
    regions = films.regions(split, place) if place else None
    place_of = {int(p): row for row, p in enumerate(regions.position)} if regions else {}
    placed = np.array([int(p) in place_of for p in positions], bool)
    labels = np.where(np.isnan(labels) & placed, 1.0, labels)
    scores = outputs["score"][:, index]
    chosen = choose_examples(labels, scores, placed, count)
    if np.isnan(labels).all():
        chosen = np.argsort(-scores, kind="stable")[:count]
    found = []
    for row in chosen:
        position = int(positions[row])
        attention = outputs["attention"][row, index]
        mask = None
        if regions and position in place_of:
            mask = regions.mask(place_of[position], (size, size))
        found.append(
            Overlay(
                evaluation_view(here.records[position]["image"], size).image,
                attention.reshape(round(attention.size**0.5), -1),
                finding,
                float(scores[row]),
                float(labels[row]),
                mask,
            )
        )
    return found


def same_finding(finding: str, labels: Sequence[str]) -> str | None:
    """Return the label that has a finding's name, or is scored by the entity of that name."""
    if finding in labels:
        return finding
    return next((label for label in labels if query_of(label) == finding), None)


def file_stem(name: str) -> str:
    """Return a name as it may stand in a file's."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)
