"""Captions of films: the sentences of a report's findings and impression, in plain small words.

The rules are those of ConVIRT, GLoRIA, MGCA and MedST: no punctuation is left, numbered lists lose
their numbers, and a sentence of one word is none. There a decimal is torn apart at its dot; here it
stays a word, unless asked.
"""

import re

LEAST_WORDS = 3
"""Of a caption."""
_NUMBER, _WORD = re.compile(r"[0-9]+\."), re.compile(r"\w+")
_LIST_NUMBER = re.compile(r"(?<![0-9])(?<![0-9]\.)[0-9]+\.(?![0-9])")
"""A number with a dot that is no part of a decimal."""
_END = re.compile(r"(?<![0-9])\.|\.(?![0-9])")
_DECIMAL_WORD = re.compile(r"\w+(?:(?<=[0-9])\.(?=[0-9])\w+)*")
_LOST = "\N{REPLACEMENT CHARACTER}" * 2


def clean_sentences(text: str, keep_decimals: bool = True) -> list[str]:
    """Return the sentences of a text, words in small ASCII letters with one blank between.

    keep_decimals: leave "4.5" a word instead of ending a sentence in it and losing the 4.
    """
    number, word = (_LIST_NUMBER, _DECIMAL_WORD) if keep_decimals else (_NUMBER, _WORD)
    sentences = []
    for point in number.split(text.replace("\n", " ")):
        for sentence in _END.split(point) if keep_decimals else point.split("."):
            words = word.findall(sentence.replace(_LOST, " ").lower())
            if len(words) > 1:
                plain = (w.encode("ascii", "ignore").decode("ascii") for w in words)
                sentences.append(" ".join(w for w in plain if w))
    return [sentence for sentence in sentences if sentence]


def make_caption(impression: str, findings: str, keep_decimals: bool = True) -> str:
    """Return the caption of a report, impression first; "" where it has under LEAST_WORDS words."""
    both = f"{impression or ' '} {findings or ' '}"
    caption = " ".join(clean_sentences(both, keep_decimals))
    return caption if len(caption.split()) >= LEAST_WORDS else ""


def clean_prompt(text: str, joiner: str = " ", keep_decimals: bool = True) -> str:
    """Return a prompt as captions are; published: joined without a blank, decimals torn apart."""
    return joiner.join(clean_sentences(text, keep_decimals))
