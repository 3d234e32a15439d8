"""Reports prepared per second for MedST, beside the published way in plain Python.

    python -m tests.bench.reports [--reports=20000] [--rounds=3] [--threads=1] [--bert=FOLDER]

The reports are those of MedST's demo, in memory. "sections": impression, findings, last paragraph
and comparison of the raw text, ours by the reader of `medjax.prepare mimic_cxr` with its checks;
"captions": the sentences of impression and findings; "tokens": word pieces, padded to 112, with the
word of every piece. Both sides follow the published rules and must agree, also where captions are
cut and words are in pieces, before anything is timed. "defaults" is ours by its own rules, which
keep decimals and the last word.

The published side is `published_reports`, one report after the other. The originals read tokens
anew whenever an item is loaded and gather pieces to words at every step of training; here both are
counted once a report. Ours reads tokens once before training, all captions in one call. The
vocabulary is made of the captions, so that nearly every word is one piece, unless --bert names a
folder with vocab.txt. Processor seconds tell more than wall seconds on a busy machine; ratios are
medians over the rounds of published / ours, above 1 where ours is faster. Needs transformers and
NLTK (the extra `bench`).
"""

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medjax.data.captions import make_caption
from medjax.data.demo.progression import draw_patient, studies_of
from medjax.data.mimic_cxr.report_rules import read_rules
from medjax.data.mimic_cxr.reports import Reports
from medjax.data.xray.film import Film
from medjax.systems.medst.data.texts import TextReader
from medjax.text.vocabulary import make_vocabulary
from medjax.text.wordpiece import VOCABULARY_FILE, WordPiece, make_wordpiece, read_wordpiece
from tests.bench import published_reports as published

TOKENS, SHORT = 112, 24
"""Tokens of a caption, and so few that many captions are cut."""
PIECES = 0.2
"""Share of the captions that must hold a word lest it be spelled, in the second comparison."""
STAGES = ("sections", "captions", "tokens")
Seconds = np.ndarray
"""[processor, wall]"""


class Side(NamedTuple):
    """One way to prepare reports: what each stage makes of what the stage before made."""

    sections: Callable[[Sequence[bytes]], Any]
    captions: Callable[[Any], list[str]]
    tokens: Callable[[Sequence[str]], Any]


def our_side(wordpiece: WordPiece, most: int, by_published: bool = True) -> Side:
    """Return ours, by the published rules or its own."""
    rules = read_rules(None, by_published)
    reader = TextReader(wordpiece, most, "truncated" if by_published else "complete")

    def sections(texts: Sequence[bytes]) -> list[Any]:
        films = [Film("", "", "", 0, study, "PA", 0, ()) for study in range(len(texts))]
        reports = Reports(lambda film: texts[film.study_id], rules)
        return [reports.of(film) for film in films]

    def captions(found: list[Any]) -> list[str]:
        return [make_caption(of["impression"], of["findings"], not by_published) for of in found]

    return Side(sections, captions, reader.read)


def their_side(wordpiece: WordPiece, most: int, folder: Path) -> Side:
    """Return the published way; its vocabulary is written into the folder."""
    path = folder / f"{most}-{VOCABULARY_FILE}"
    path.write_text("".join(f"{token}\n" for token in TextReader(wordpiece).vocabulary))
    tokens = published.Tokens(path, most)
    return Side(
        lambda texts: [published.wanted_sections(text) for text in texts],
        lambda found: [published.caption_of(sections) for sections in found],
        lambda captions: [tokens.read(caption) for caption in captions],
    )


def compare(ours: Side, theirs: Side, texts: Sequence[bytes]) -> str:
    """Return how much was cut or in pieces; stop with a sentence where the sides differ."""
    found, expected = ours.sections(texts), theirs.sections(texts)
    for text, a, b in zip(texts, found, expected, strict=True):
        if {name: a[name] for name in published.WANTED} != b:
            sys.exit(f"the sections of {text!r} differ: {a}, {b}")
    captions = ours.captions(found)
    for a, b in zip(captions, theirs.captions(expected), strict=True):
        if a != b:
            sys.exit(f"two captions of one report differ: {a!r}, {b!r}")
    captions = [caption for caption in captions if caption]
    table, rows = ours.tokens(captions), theirs.tokens(captions)
    for caption, ids, words, of in zip(captions, table.ids, table.words, rows, strict=True):
        if not np.array_equal(ids, of[0]) or not np.array_equal(words, of[1]):
            sys.exit(f"the tokens of {caption!r} differ: {ids}, {words}, {of}")
    pieces = (table.words >= 0).sum() / (table.words.max(1) + 1).sum()
    return f"{pieces:.2f} pieces a word, {table.mask.all(1).mean():.0%} of the captions fill a row"


def timed(stage: Callable, given: Any) -> tuple[Any, Seconds]:
    """Return what a stage makes, and processor and wall seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    made = stage(given)
    return made, np.array([time.process_time() - processor, time.perf_counter() - wall])


def one_round(side: Side, texts: Sequence[bytes]) -> list[Seconds]:
    """Return the seconds of every stage."""
    found, sections = timed(side.sections, texts)
    made, captions = timed(side.captions, found)
    made = [caption for caption in made if caption]
    return [sections, captions, timed(side.tokens, made)[1]]


def line(name: str, ours: Seconds, theirs: Seconds, reports: int) -> str:
    """Return a line of the table; seconds [round, processor and wall]."""
    cells = np.concatenate([np.median(ours, 0), np.median(theirs, 0)]) / reports
    ratios = " ".join(
        f"{statistics.median(r):6.2f} ({r.min():.2f}-{r.max():.2f})" for r in (theirs / ours).T
    )
    numbers = " ".join(f"{1e6 * cell:9.1f}" for cell in cells)
    return f"{name:9s} {numbers} {ratios} {1 / cells[0]:10.0f} {1 / cells[2]:10.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--reports", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bert", type=Path, help="folder with the vocab.txt to use")
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    drawn = (s for n in itertools.count() for s in studies_of(draw_patient(n, 0), 0))
    texts = [study.report.encode() for study in itertools.islice(drawn, args.reports)]
    plain = our_side(make_wordpiece(make_vocabulary(())), TOKENS)
    captions = [caption for caption in plain.captions(plain.sections(texts)) if caption]
    own = make_wordpiece(make_vocabulary(captions))
    wordpiece = read_wordpiece(args.bert) if args.bert else own
    spelled = make_wordpiece(make_vocabulary(captions, round(PIECES * len(captions))))
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = our_side(wordpiece, TOKENS), their_side(wordpiece, TOKENS, Path(folder))
        told = compare(ours, theirs, texts)
        short = our_side(spelled, SHORT), their_side(spelled, SHORT, Path(folder))
        print(f"equal: {told}; {compare(*short, texts)}")
    defaults = our_side(wordpiece, TOKENS, by_published=False)
    print(
        f"{len(texts)} reports of {statistics.mean(map(len, texts)):.0f} characters, {args.threads}"
        f" threads, {args.rounds} rounds, load {os.getloadavg()[0]:.1f}, microseconds a report"
    )
    print(
        "stage      our CPU us   wall us  their CPU   wall us  ratio CPU          ratio wall    "
        "       ours/CPU s  theirs/CPU s"
    )
    sides = (ours, theirs, defaults)
    seconds = np.array([[one_round(side, texts) for side in sides] for _ in range(args.rounds)])
    for place, name in enumerate(STAGES):
        stage = seconds[:, :, place]
        print(line(name, stage[:, 0], stage[:, 1], len(texts)))
    whole = seconds.sum(2)
    print(line("all", whole[:, 0], whole[:, 1], len(texts)))
    print(line("defaults", whole[:, 2], whole[:, 1], len(texts)))


if __name__ == "__main__":
    main()
