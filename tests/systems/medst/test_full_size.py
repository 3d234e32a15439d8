"""The published network, at its full size, takes steps on two cores.

Three minutes, 10 GB, 13 seconds a step.

pytest -m slow tests/systems/medst/test_full_size.py -s
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs" / "medst.py"
VOCABULARY = 28_996
MOST_MEMORY = 15.0
"""GB"""


def run(*arguments: str) -> None:
    """Run the real command in a process of its own, compiled well."""
    environment = {**os.environ, "XLA_FLAGS": ""}
    command = [sys.executable, "-m", "medjax.main", *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


@pytest.mark.slow
def test_the_published_network_trains_on_two_cores(tmp_path) -> None:
    few = [f"--config.data.demo.{name}={n}" for name, n in (("patients", 30), ("rsna", 6))]
    large = ["--config.data.demo.covidx=20", "--config.data.demo.width=256"]
    films = tmp_path / "films"
    run(f"--config={CONFIG}:smoke,pretrain", f"--workdir={films}", *few, *large)
    words = json.loads((films / "pretrain" / "artefacts.json").read_text())["vocabulary"]
    words += [f"filler{index}" for index in range(VOCABULARY - len(words))]
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "vocab.txt").write_text("\n".join(words) + "\n")
    train = {"epochs": 1, "global_batch_size": 8, "evaluation_batch_size": 8, "chunks": 2}
    run(
        f"--config={CONFIG}:published,pretrain",
        f"--workdir={tmp_path / 'run'}",
        f"--config.data.dir={films / 'demo' / 'prepared' / 'films'}",
        f"--config.text.bert_dir={tmp_path / 'words'}",
        "--config.text.init=random",
        "--config.data.fraction=0.25",
        "--config.pretrain.train.log_every=1",
        *(f"--config.pretrain.train.{name}={value}" for name, value in train.items()),
    )
    rows = (tmp_path / "run" / "pretrain" / "metrics.jsonl").read_text().splitlines()
    steps = [row for row in map(json.loads, rows) if row["split"] == "train"]
    assert len(steps) >= 3
    assert all(math.isfinite(row["loss"]) and row["gradient_norm"] > 0 for row in steps)
    assert any(row["loss_temporal"] > 0 for row in steps)
    timing = json.loads((tmp_path / "run" / "timing.json").read_text())["pretrain"]
    print(f"{timing['host_peak_gb']:.1f} GB, {timing['train_seconds'] / len(steps):.0f} s a step")
    assert timing["host_peak_gb"] < MOST_MEMORY
