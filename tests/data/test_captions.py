"""Captions: sentences in plain small words, decimals whole unless asked."""

import numpy as np
import pytest

from medjax.data.captions import clean_prompt, clean_sentences, make_caption
from tests.bench.published_reports import caption_of

PARTS = (
    *("no change", "Clear", "é", "Σ", "İ", "\u212a", "٣", "½", "_", "4", "10", "v2", "1.", "2."),
    *(".", "..", ". ", " ", " ", " ", "\n", "\ufffd", "\ufffd\ufffd", "-", "\xa0", "\u0301"),
)


@pytest.mark.parametrize(
    ("text", "whole", "torn"),
    [
        ("Nodule of 4.5 mm.", ["nodule of 4.5 mm"], ["nodule of", "5 mm"]),
        ("1. Left effusion.\n2. Right is small", ["left effusion", "right is small"], None),
        ("It is 4.5. Next is 3.", ["it is 4.5", "next is"], ["it is", "next is"]),
        ("Size 1.2.3 now; v2.0 too", ["size 1.2.3 now v2.0 too"], ["3 now v", "0 too"]),
        ("Clear. Café au lait\ufffd\ufffdhere", ["caf au lait here"], None),
        ("T10.No change. \u00e9 \u00e8.", ["no change"], None),
    ],
)
def test_sentences(text, whole, torn) -> None:
    assert clean_sentences(text) == whole
    assert clean_sentences(text, keep_decimals=False) == (torn or whole)


def odd_texts(*more: str) -> list[str]:
    """Texts of parts in any order."""
    generator = np.random.default_rng(0)
    parts = (*PARTS, *more)
    return ["".join(generator.choice(parts, generator.integers(0, 20))) for _ in range(2000)]


def test_a_decimal_elsewhere_changes_nothing() -> None:
    texts = [text for text in odd_texts() if not text.endswith(tuple("0123456789"))]
    plain = [clean_sentences(text) for text in texts]
    decimal = [clean_sentences(f"{text}. it is 4.5") for text in texts]
    assert len(set(map(tuple, plain))) > 500
    for text, alone, beside in zip(texts, plain, decimal):
        assert beside == [*alone, "it is 4.5"], text


def test_captions_are_those_of_a_plain_rendition_of_the_published_rules() -> None:
    texts = odd_texts("4.5", "1.2.3")
    made = [make_caption(text, "", keep_decimals=False) for text in texts]
    assert made == [caption_of({"impression": text, "findings": ""}) for text in texts]
    assert len(set(made)) > 500


def test_captions_put_the_impression_first_and_need_three_words() -> None:
    assert make_caption("No change seen.", "Lungs are clear.") == "no change seen lungs are clear"
    assert make_caption("", "Lungs are clear.") == "lungs are clear"
    assert make_caption("No change.", "") == make_caption("", "") == ""


def test_prompts_are_joined_as_asked() -> None:
    text = "It has improved. It has worsened."
    assert clean_prompt(text) == "it has improved it has worsened"
    assert clean_prompt(text, "") == "it has improvedit has worsened"
