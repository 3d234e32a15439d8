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
_DECIMAL = re.compile(r"[0-9]\.[0-9]")
_END = re.compile(r"(?<![0-9])\.|\.(?![0-9])")
_DECIMAL_WORD = re.compile(r"\w+(?:(?<=[0-9])\.(?=[0-9])\w+)*")
_LOST = "\N{REPLACEMENT CHARACTER}" * 2


def clean_sentences(text: str, keep_decimals: bool = True) -> list[str]:
    """Return the sentences of a text, words in small ASCII letters with one blank between.

    keep_decimals: leave "4.5" a word instead of ending a sentence in it and losing the 4.
    """
    text = text.replace("\n", " ").replace(_LOST, " ").lower()
    if keep_decimals and _DECIMAL.search(text):
        points = [end for point in _LIST_NUMBER.split(text) for end in _END.split(point)]
        words_of = [_DECIMAL_WORD.findall(point) for point in points]
    else:  # without decimals both ways give the same, and this one takes less time
        words_of = [_WORD.findall(point) for point in _NUMBER.sub(".", text).split(".")]
    sentences = [" ".join(words) for words in words_of if len(words) > 1]
    if not text.isascii():
        plain = (s.encode("ascii", "ignore").decode("ascii") for s in sentences)
        sentences = [" ".join(s.split()) for s in plain]
    return [sentence for sentence in sentences if sentence]


def make_caption(impression: str, findings: str, keep_decimals: bool = True) -> str:
    """Return the caption of a report, impression first; "" where it has under LEAST_WORDS words."""
    both = f"{impression or ' '} {findings or ' '}"
    caption = " ".join(clean_sentences(both, keep_decimals))
    return caption if len(caption.split()) >= LEAST_WORDS else ""


def clean_prompt(text: str, joiner: str = " ", keep_decimals: bool = True) -> str:
    """Return a prompt as captions are; published: joined without a blank, decimals torn apart."""
    return joiner.join(clean_sentences(text, keep_decimals))
