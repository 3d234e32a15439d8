"""Captions: sentences in plain small words, decimals whole unless asked."""

import pytest

from medjax.data.captions import clean_prompt, clean_sentences, make_caption


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


def test_captions_put_the_impression_first_and_need_three_words() -> None:
    assert make_caption("No change seen.", "Lungs are clear.") == "no change seen lungs are clear"
    assert make_caption("", "Lungs are clear.") == "lungs are clear"
    assert make_caption("No change.", "") == make_caption("", "") == ""


def test_prompts_are_joined_as_asked() -> None:
    text = "It has improved. It has worsened."
    assert clean_prompt(text) == "it has improved it has worsened"
    assert clean_prompt(text, "") == "it has improvedit has worsened"
