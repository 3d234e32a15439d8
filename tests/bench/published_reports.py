"""Reports of MIMIC-CXR prepared as MedST and MGCA published it, in plain Python.

Every report by itself: `re` finds the heads, NLTK's `RegexpTokenizer` the words of a caption (`re`
where NLTK is absent), the tokeniser of transformers that is written in Python its word pieces, and
a loop gathers these to words. The tables of heads are those of `medjax.data.reports`.
"""

import re
from pathlib import Path

import numpy as np

from medjax.data.reports import CONTAINED, KEPT_NAMES, SYNONYMS, TRUNCATED, VIEWS

try:
    from nltk.tokenize import RegexpTokenizer

    words_of = RegexpTokenizer(r"\w+").tokenize
except ImportError:
    words_of = re.compile(r"\w+").findall

WANTED = ("impression", "findings", "last_paragraph", "comparison")
HEAD = re.compile(r"\n ([A-Z ()/,-]+):\s", re.DOTALL)
NUMBER = re.compile(r"[0-9]+\.")
COMMON = {name: name for name in KEPT_NAMES} | {TRUNCATED: "impression"}
for _name, _synonyms in SYNONYMS.items():
    COMMON.update(dict.fromkeys(_synonyms, _name))


def common_names(heads: list[str]) -> list[str]:
    """Return the common names of heads."""
    names = []
    for head in heads:
        name = head.lower().strip()
        if name in COMMON:
            names.append(COMMON[name])
            continue
        for word in CONTAINED:
            if word in name:
                name = word
                break
        else:
            for view in VIEWS:
                if view in name:
                    name = "findings"
                    break
        names.append(name)
    return names


def sections_of(text: str) -> tuple[list[str], list[str]]:
    """Return names and texts of the sections of a report."""
    head = HEAD.search(text)
    if head:
        names, texts = ["preamble"], [text[: head.start(1)]]
        while head:
            names.append(head.group(1))
            start = head.end()
            line = text[start:].find("\n")
            head = HEAD.search(text, start + max(line, 0))
            texts.append(text[start : head.start() if head else len(text)])
    else:
        names, texts = ["full report"], [text]
    names = common_names(names)
    for i in reversed(range(len(names))):
        if names[i] in ("impression", "findings") and not texts[i].strip():
            names.pop(i)
            texts.pop(i)
    if "impression" not in names and "findings" not in names and "\n \n" in texts[-1]:
        parts = texts[-1].split("\n \n")
        texts[-1] = parts[0]
        names.append("last_paragraph")
        texts.append("\n \n".join(parts[1:]))
    return names, texts


def wanted_sections(report: bytes) -> dict[str, str]:
    """Return the WANTED sections of a report, "" where there is none."""
    names, texts = sections_of(report.decode("utf-8", "replace"))
    found = {}
    for name in WANTED:
        places = [i for i, of_section in enumerate(names) if of_section == name]
        found[name] = texts[places[-1]].strip() if places else ""
    return found


def caption_of(sections: dict[str, str]) -> str:
    """Return the caption of impression and findings, "" where there are under three words."""
    if not sections["impression"] and not sections["findings"]:
        return ""
    text = (sections["impression"] or " ") + " " + (sections["findings"] or " ")
    points = []
    for piece in NUMBER.split(text.replace("\n", " ")):
        points += piece.split(".")
    sentences, count = [], 0
    for point in points:
        if len(point) == 0:
            continue
        words = words_of(point.replace("\ufffd\ufffd", " ").lower())
        if len(words) <= 1:
            continue
        kept = []
        for word in words:
            plain = word.encode("ascii", "ignore").decode("ascii")
            if len(plain) > 0:
                kept.append(plain)
        if len(kept) > 0:
            sentences.append(" ".join(kept))
        count += len(kept)
    return " ".join(sentences) if count >= 3 else ""


class Tokens:
    """The tokeniser and the loop that gathers pieces."""

    def __init__(self, vocabulary: Path, most: int) -> None:
        try:  # from version 5 on `BertTokenizer` is no longer the one in Python
            from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy as Of
        except ImportError:
            from transformers import BertTokenizer as Of
        self.most, self.tokenizer = most, Of(vocab_file=str(vocabulary))
        self.tokens = {index: token for token, index in self.tokenizer.get_vocab().items()}

    def read(self, caption: str) -> tuple[np.ndarray, list[int]]:
        """Return the ids [token] of a caption and the row of the word of every token, or -1."""
        ids = self.tokenizer(
            caption,
            return_tensors="np",
            truncation=True,
            padding="max_length",
            max_length=self.most,
        )["input_ids"][0]
        return ids, self.gather([self.tokens[i] for i in ids.tolist()])[0]

    def gather(self, tokens: list[str]) -> tuple[list[int], list[str]]:
        """Return the row of every token and the words; the last token is never visited."""
        rows, words = [-1] * len(tokens), []
        bank: list[int] = []

        def flush() -> None:
            for place in bank:
                rows[place] = len(words)
            words.append("".join(tokens[place].replace("##", "") for place in bank))
            bank.clear()

        for place, token in enumerate(tokens[:-1]):
            if token == "[SEP]":
                flush()
                bank.append(place)
                flush()
                break
            if bank and not token.startswith("##"):
                flush()
            bank.append(place)
        return rows, words + ["[PAD]"] * (len(tokens) - len(words))
