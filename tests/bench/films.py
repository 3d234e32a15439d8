"""Reading, shrinking and encoding films beside the bare pillow calls, alternated in one run.

    python -m tests.bench.films [--films=12] [--rounds=3]

Films are made up at the size of MIMIC-CXR-JPG (2544 x 3056, smooth with detector noise). `ours` is
`encode_film`: path, signature, size and mode checked, every failure caught. `pillow` opens, resizes
and saves, nothing else. `views` are the random training views of the stored films. Prints films per
CPU second of one core as a table, then one line of JSON.
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from medjax.data.image_transforms import train_view
from medjax.data.images import decode
from medjax.data.xray.encode import Encoding, encode_film

WIDTH, HEIGHT = 2544, 3056


def write_film(path: Path, generator: np.random.Generator) -> None:
    """Write a smooth random field with noise as JPEG."""
    coarse = Image.fromarray(generator.integers(20, 235, (30, 25), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    noisy = smooth + generator.normal(0, 3, smooth.shape).astype(np.float32)
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(path, quality=92)


def bare(path: Path) -> bytes:
    """What a script without any check does."""
    data = io.BytesIO()
    with Image.open(path) as image:
        image.resize((512, int(image.height * 512 / image.width))).save(data, "JPEG")
    return data.getvalue()


def rate(work: Callable, items: Iterable) -> float:
    """Items per processor second."""
    items = list(items)
    start = time.process_time()
    for item in items:
        work(item)
    return len(items) / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    rates: dict[str, list[float]] = {"ours": [], "pillow": [], "views": []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        names = [f"{i:02d}.jpg" for i in range(options.films)]
        for name in names:
            write_film(root / name, generator)
        stored = [encode_film(root, Encoding(), name).data for name in names]
        for _ in range(options.rounds):
            rates["ours"].append(rate(lambda name: encode_film(root, Encoding(), name), names))
            rates["pillow"].append(rate(lambda name: bare(root / name), names))
            rates["views"].append(rate(lambda data: train_view(decode(data), generator), stored))
    result = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    result["ours / pillow"] = round(result["ours"] / result["pillow"], 3)
    for name, value in result.items():
        print(f"{name:>14}  {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
