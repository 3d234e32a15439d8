"""Training batches of films through Grain beside a PyTorch DataLoader, in one run.

    python -m tests.bench.loader [--films=200] [--batches=40] [--batch=32] [--rounds=2]

All read JPEG films 512 pixels wide and make the published random view of each: shorter side to 256,
flip, affine, centre crop of 224. `grain` reads the X-ray store by `medjax.data.pipeline` and gives
grey bytes, which the device standardises. `torch` reads files; `grey` does the same work as ours,
`rgb` what the original does (three channels, float32, standardised). Both use the same Pillow
calls: there is no torchvision here. Start-up does not count. Prints images per CPU second, children
included, and per second, by number of worker processes (0: threads of this process for Grain, this
process for torch), and the ratio to `torch grey` of as many workers; last a line of JSON.
"""

import argparse
import io
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from absl import flags
from PIL import Image

from medjax.data.film_sizes import FilmSize
from medjax.data.image_transforms import IMAGENET_MEAN, IMAGENET_STD, train_view
from medjax.data.pipeline import iterate
from medjax.data.prepared import open_set
from medjax.data.xray.encode import Encoded
from medjax.data.xray.film import Film
from medjax.data.xray.store import Source, write_films
from tests.bench.processes import cpu_seconds

WIDTH, HEIGHT = 512, 614


def write_store(root: Path, count: int) -> None:
    """Write the same films as files `<number>.jpg` and as an X-ray store."""
    generator = np.random.default_rng(0)
    films, encoded = [], []
    for i in range(count):
        coarse = Image.fromarray(generator.integers(20, 235, (30, 25), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
        noisy = np.clip(smooth + generator.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)
        data = io.BytesIO()
        Image.fromarray(noisy).save(data, "JPEG", quality=75)
        (root / f"{i:05d}.jpg").write_bytes(data.getvalue())
        films.append(Film(f"{i:05d}", "", "train", i, i, "AP", 0, (0,)))
        encoded.append(Encoded((data.getvalue(),)))
    source = Source("made up", "", "")
    write_films(
        root, {"train": films}, source, (FilmSize(),), lambda split: _each(encoded), lambda film: {}
    )


def _each(films: list[Encoded]) -> Iterator[Encoded]:
    yield from films


class Twin(torch.utils.data.Dataset):
    """The published item of PyTorch code, with Pillow for torchvision's transforms."""

    def __init__(self, root: Path, films: int, length: int, rgb: bool) -> None:
        self.root, self.films, self.length, self.rgb = root, films, length, rgb

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.root / f"{index % self.films:05d}.jpg") as file:
            image = file.convert("RGB" if self.rgb else "L")
        width, height = image.size
        image = image.resize((256, int(256 * height / width)), Image.Resampling.BILINEAR)
        if torch.rand(1).item() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        angle, dx, dy, grow = torch.rand(4).tolist()
        image = self._affine(image, 90 * angle - 45, 0.3 * dx - 0.15, 0.3 * dy - 0.15, grow)
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        image = image.crop((left, top, left + 224, top + 224))
        if not self.rgb:
            return torch.from_numpy(np.array(image))
        unit = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)
        mean, std = (
            torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        return (unit - mean) / std

    @staticmethod
    def _affine(image: Image.Image, degrees: float, dx: float, dy: float, grow: float):
        width, height = image.size
        scale, angle = 0.85 + 0.3 * grow, math.radians(degrees)
        cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
        x, y = -width / 2 - round(dx * width), -height / 2 - round(dy * height)
        inverse = (cos, sin, cos * x + sin * y + width / 2)
        inverse += (-sin, cos, -sin * x + cos * y + height / 2)
        return image.transform(image.size, Image.Transform.AFFINE, inverse)


class Views:
    """Collates random views of stored films, as the batches of MedFuse do."""

    def __init__(self, root: Path) -> None:
        self.records = open_set(root, "xray", fields=("image",)).splits["train"]

    def __call__(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        views = np.zeros((len(rows), 224, 224), np.uint8)
        for i, row in enumerate(rows):
            image = self.records[int(row) % len(self.records)]["image"]
            views[i] = train_view(image, np.random.default_rng((1, int(row))))
        return {"image": views}


def rate(batches: Iterator, count: int, size: int) -> tuple[float, float]:
    """Images per CPU second and per second over `count` batches after the first."""
    next(batches)
    start, cpu = time.monotonic(), cpu_seconds()
    for _ in range(count):
        next(batches)
    images = count * size
    return images / (cpu_seconds() - cpu), images / (time.monotonic() - start)


def kinds_of(root: Path, options: argparse.Namespace) -> dict[str, Callable[[], Iterator]]:
    """Name -> what starts the iteration; longer than is measured, so that workers stay at work."""
    length = (options.batches + 8) * options.batch
    plans = np.split(np.arange(length), options.batches + 8)
    kinds: dict[str, Callable[[], Iterator]] = {}
    for workers in (0, 1, 2):
        kinds[f"grain, {workers}"] = lambda workers=workers: iterate(
            plans, Views(root), threads=2, workers=workers
        )
        for name, rgb in (("grey", False), ("rgb", True)):
            data = Twin(root, options.films, length, rgb)
            kinds[f"torch {name}, {workers}"] = lambda workers=workers, data=data: iter(
                torch.utils.data.DataLoader(data, options.batch, num_workers=workers)
            )
    return kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    flags.FLAGS.mark_as_parsed()  # Grain's worker processes ask for it
    rates: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_store(Path(folder), options.films)
        for _ in range(options.rounds):
            for name, start in kinds_of(Path(folder), options).items():
                measured = rate(start(), options.batches, options.batch)
                rates.setdefault(name, []).append(measured)
    result = {name: statistics.median(r[0] for r in values) for name, values in rates.items()}
    print(f"{'workers':>14}  per CPU s  per s  ratio")
    for name, values in rates.items():
        ratio = result[name] / result[f"torch grey, {name[-1]}"]
        wall = statistics.median(r[1] for r in values)
        print(f"{name:>14}  {result[name]:9.0f}  {wall:5.0f}  {ratio:5.2f}")
    print(json.dumps({name: round(value, 1) for name, value in result.items()}))


if __name__ == "__main__":
    main()
