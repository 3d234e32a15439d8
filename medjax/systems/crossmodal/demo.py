"""The embedded default: invented persons, written as the HD5 files of ml4h, then prepared."""

import json
import shutil
from pathlib import Path

from ml_collections import ConfigDict

from medjax.data.demo.hd5 import LABELS, write_cohort
from medjax.data.manifest import MANIFEST
from medjax.files import write_json
from medjax.prepare import parse

GRID_OF_EDGE = 160 / 96
"""Pixels of a drawn cine for each pixel of the box that its hearts fit."""


def prepare_demo(folder: Path, options: ConfigDict) -> Path:
    """Return the prepared cohort under `folder`, made on the first call.

    It is made anew when it was made with other options. The raw files stay beside it, so that a
    reader can see what `prepare` reads.
    """
    made_with = options.to_dict()
    note = folder / "made_with.json"
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != made_with:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(note, made_with)
    raw, prepared = folder / "raw", folder / "prepared"
    if not (prepared / MANIFEST).is_file():
        print(f"demo: inventing {options.persons} persons in {raw}", flush=True)
        write_cohort(
            raw,
            options.persons,
            options.seed,
            ecg_samples=options.ecg_samples,
            grid=round(options.mri_edge * GRID_OF_EDGE),
            frames=options.mri_frames,
        )
        sizes = {name: options[name] for name in ("ecg_samples", "mri_edge", "mri_frames")}
        ratios = {name: options[name] for name in ("valid_ratio", "test_ratio")}
        arguments = {"raw": raw, "out": prepared, "labels": raw / LABELS, **sizes, **ratios}
        module, args = parse(["ml4h_cohort", *(f"--{n}={v}" for n, v in arguments.items())])
        module.prepare(args)
    return prepared
