"""The embedded default: invented patients with several visits, prepared like real data."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from medjax.data.demo.pneumonia_sets import write_covidx, write_rsna
from medjax.data.demo.progression import write_ms_cxr_t, write_progression
from medjax.data.manifest import MANIFEST
from medjax.files import write_json
from medjax.prepare import parse


class DemoFolders(NamedTuple):
    """Prepared folders."""

    films: Path
    """Of `medjax.data.mimic_cxr`, with reports."""
    ms_cxr_t: Path
    rsna: Path
    covidx: Path


def prepare_demo(folder: Path, options: ConfigDict) -> DemoFolders:
    """Return the prepared folders under `folder`, made on the first call.

    They are made anew when they were made with other options; the raw files stay beside them.

    Args:
        folder: where to.
        options: patients, films of RSNA and patients of COVIDx, seed, and width of the films in
            pixels, as `patients`, `rsna`, `covidx`, `seed`, `width`.
    """
    made_with = options.to_dict()
    note = folder / "made_with.json"
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != made_with:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(note, made_with)
    raw, prepared = folder / "raw", folder / "prepared"
    out = DemoFolders(*(prepared / name for name in DemoFolders._fields))
    seed, width, patients = options.seed, options.width, options.patients
    if not (out.films / MANIFEST).is_file():
        print(f"demo: inventing the visits of {patients} patients in {raw}", flush=True)
        write_progression(raw / "mimic_cxr", patients, seed, width=width)
        prepare("mimic_cxr", raw / "mimic_cxr", out.films, width)
    if not (out.ms_cxr_t / MANIFEST).is_file():
        write_ms_cxr_t(raw / "ms_cxr_t", patients, seed)
        followed = (f"--images={raw / 'mimic_cxr'}", f"--films={out.films}")
        prepare("ms_cxr_t", raw / "ms_cxr_t", out.ms_cxr_t, width, *followed)
    if not (out.rsna / MANIFEST).is_file():
        write_rsna(raw / "rsna", options.rsna, seed, width=width)
        prepare("rsna", raw / "rsna", out.rsna, width, "--mgca_split")
    if not (out.covidx / MANIFEST).is_file():
        write_covidx(raw / "covidx", options.covidx, seed, width=width)
        prepare("covidx", raw / "covidx", out.covidx, width)
    return out


def prepare(source: str, raw: Path, out: Path, width: int, *options: str) -> None:
    """Prepare one source, as the command does; small films are not worth starting processes."""
    fixed = (f"--raw={raw}", f"--out={out}", "--workers=1", f"--sizes=long{width}")
    module, args = parse([source, *fixed, *options])
    module.prepare(args)
