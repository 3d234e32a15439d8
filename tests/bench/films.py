"""Reading, shrinking and encoding films beside a plain Pillow loop, alternated in one run.

    python -m tests.bench.films [--films=24] [--rounds=3] [--workers=0,1,2]

Films are made up at the size of MIMIC-CXR-JPG (2544 x 3056, smooth with detector noise). `ours` is
what `medjax.prepare` does with a film: path, signature, size and mode checked, every failure
caught, for each number of workers, with scaled and with exact decoding; starting processes does not
count. `pillow` opens, resizes and saves, nothing else. Prints films per CPU second, children
included, and per second, with the ratio to `pillow`; then how far scaled decoding is from exact, in
grey levels; last a line of JSON.
"""

import argparse
import functools
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medjax.data.film_sizes import FilmSize
from medjax.data.images import read_film
from medjax.data.workers import Crew
from medjax.data.xray.encode import Encoding, Job, encode_film
from tests.bench.processes import cpu_seconds

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


def rate(work: Callable[[Any], Any], items: list) -> tuple[float, float]:
    """Films per CPU second and per second."""
    return rate_of(map(work, items), len(items))


def with_crew(encode: Callable, workers: int, jobs: list[Job]) -> tuple[float, float]:
    """The same of processes that have started and imported what they need."""
    with Crew(encode, workers) as crew:
        for _ in crew.map(jobs[:1] * 2 * workers):
            pass
        return rate_of(crew.map(jobs), len(jobs))


def rate_of(results: Iterable, films: int) -> tuple[float, float]:
    start, cpu = time.monotonic(), cpu_seconds()
    for _ in results:
        pass
    return films / (cpu_seconds() - cpu), films / (time.monotonic() - start)


def difference(root: Path, jobs: list[Job]) -> tuple[float, int]:
    """Mean and largest difference of the resized films by scaled and exact decoding."""
    size, encoding = FilmSize(), Encoding()
    gaps = []
    for job in jobs:
        reads = (read_film(root / job.path, scale=scale) for scale in (encoding.scale, None))
        scaled, exact = (np.asarray(size.shrink(*read), int) for read in reads)
        gaps.append(np.abs(scaled - exact))
    return float(np.mean([gap.mean() for gap in gaps])), int(max(gap.max() for gap in gaps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", default="0,1,2")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        jobs = [Job(f"{i:03d}.jpg") for i in range(options.films)]
        for job in jobs:
            write_film(root / job.path, generator)
        paths = [root / job.path for job in jobs]
        kinds = {"pillow": functools.partial(rate, bare, paths)}
        for decoding in ("scaled", "exact"):
            encode = functools.partial(encode_film, root, Encoding(decoding=decoding))
            for workers in map(int, options.workers.split(",")):
                name = f"ours, {decoding}, {workers} workers"
                kinds[name] = functools.partial(with_crew, encode, workers, jobs)
        rounds = [{name: work() for name, work in kinds.items()} for _ in range(options.rounds)]
        mean, most = difference(root, jobs[:4])
    result: dict[str, float] = {}
    print(f"{'':>26}  per CPU s  per s  ratio")
    for name in kinds:
        by_cpu, by_wall = (statistics.median(r[name][k] for r in rounds) for k in (0, 1))
        result[name] = round(by_cpu, 1)
        ratio = by_cpu / result["pillow"]
        print(f"{name:>26}  {by_cpu:9.1f}  {by_wall:5.1f}  {ratio:5.2f}")
    result |= {"mean difference": round(mean, 3), "largest difference": most}
    print(f"scaled beside exact decoding: {mean:.3f} grey levels on average, at most {most}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
