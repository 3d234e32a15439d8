"""Sentence vectors of a BERT beside the transformers library, in one run.

    python -m tests.bench.text_encoder --bert=FOLDER [--texts=512] [--rounds=3] [--threads=2]

The texts are invented reports of one to six SCP statements. Both read the same folder and give the
masked mean of the last hidden states, which are compared. `medjax` is `embed_texts`; `sorted` is
PyTorch with batches of 32 sorted by length, as sentence-transformers makes them; `fixed` fills each
text up to 100 tokens, as the published embeddings were made. The rounds alternate; compilation is
shown apart and start-up does not count. Prints texts per CPU second and per second and the ratio to
`sorted`; last a line of JSON. Needs torch and transformers (the extra `bench`).
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import BertModel, BertTokenizer

from medjax.data.ecg.statements import read_statements
from medjax.text.encoder import Reading, embed_texts, load_text_encoder
from tests.bench.processes import cpu_seconds

BATCH = 32
MAX_TOKENS = 100


def invented_reports(count: int) -> list[str]:
    """Return different texts of one to six descriptions of statements."""
    generator = np.random.default_rng(0)
    words = [statement.description for statement in read_statements().values()]
    chosen = (
        generator.choice(words, generator.integers(1, 7), replace=False) for _ in range(count)
    )
    return [f"{number}. {'; '.join(parts)}" for number, parts in enumerate(chosen)]


class Torch:
    """The same vectors by transformers."""

    def __init__(self, folder: Path) -> None:
        self.model = BertModel.from_pretrained(folder).eval()
        self.tokenizer = BertTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def batch(self, texts: list[str], padding: str | bool) -> np.ndarray:
        tokens = self.tokenizer(
            texts, padding=padding, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        hidden = self.model(**tokens).last_hidden_state
        weights = tokens["attention_mask"][..., None].float()
        return ((hidden * weights).sum(1) / weights.sum(1)).numpy()

    def sorted(self, texts: list[str]) -> np.ndarray:
        """In batches of like length, filled up to the longest of each."""
        order = np.argsort([-len(text) for text in texts], kind="stable")
        vectors = np.zeros((len(texts), self.model.config.hidden_size), np.float32)
        for start in range(0, len(texts), BATCH):
            places = order[start : start + BATCH]
            vectors[places] = self.batch([texts[place] for place in places], True)
        return vectors

    def fixed(self, texts: list[str]) -> np.ndarray:
        """In their order, each filled up to the limit."""
        parts = (texts[start : start + BATCH] for start in range(0, len(texts), BATCH))
        return np.concatenate([self.batch(part, "max_length") for part in parts])


def measure(embed: Callable[[], np.ndarray]) -> tuple[float, float]:
    """Return CPU seconds and seconds of a call."""
    cpu, start = cpu_seconds(), time.monotonic()
    embed()
    return cpu_seconds() - cpu, time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bert", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    texts, encoder, peer = (
        invented_reports(options.texts),
        load_text_encoder(options.bert),
        Torch(options.bert),
    )
    kinds: dict[str, Callable[[], np.ndarray]] = {
        "medjax": lambda: embed_texts(encoder, texts, Reading(MAX_TOKENS)),
        "sorted": lambda: peer.sorted(texts),
        "fixed": lambda: peer.fixed(texts),
    }
    first = measure(kinds["medjax"])[0]
    gap = np.abs(kinds["medjax"]() - kinds["sorted"]()).max()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(options.rounds):
        for name, embed in kinds.items():
            spent[name].append(measure(embed))
    rates = {
        name: [len(texts) / statistics.median(found) for found in zip(*values)]
        for name, values in spent.items()
    }
    print(f"{'':>8}  texts per CPU s  per s  ratio")
    for name, (per_cpu, per_second) in rates.items():
        ratio = per_cpu / rates["sorted"][0]
        print(f"{name:>8}  {per_cpu:15.1f}  {per_second:5.1f}  {ratio:5.2f}")
    compiling = first - len(texts) / rates["medjax"][0]
    print(f"compilation {compiling:.1f} CPU s; largest difference of a number {gap:.1e}")
    print(json.dumps({name: round(values[0], 1) for name, values in rates.items()}))


if __name__ == "__main__":
    main()
