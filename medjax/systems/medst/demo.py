"""The embedded default: invented patients with several visits, prepared like real data."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from medjax.data.demo.labelled_sets import write_chexpert, write_siim
from medjax.data.demo.pneumonia_sets import write_covidx, write_rsna
from medjax.data.demo.progression import write_ms_cxr_t, write_progression
from medjax.data.manifest import MANIFEST
from medjax.files import write_json
from medjax.prepare import parse

FILMS, MS_CXR_T = "films", "ms_cxr_t"


class Collection(NamedTuple):
    """A public collection of films of a downstream task."""

    write: Callable
    """(folder, patients, seed, width=...) -> its raw files."""
    options: tuple[str, ...] = ()
    """Of its preparation."""


COLLECTIONS: Mapping[str, Collection] = {
    "rsna": Collection(write_rsna, ("--mgca_split",)),
    "covidx": Collection(write_covidx),
    "siim": Collection(write_siim),
    "chexpert": Collection(write_chexpert, ("--frontal",)),
}
"""Set, which the source of the same name prepares -> what its demo is made by."""


def prepare_demo(folder: Path, options: ConfigDict, name: str) -> Path:
    """Return the prepared folder of a set under `folder`, made on the first call.

    All sets are made anew when they were made with other options; the raw files stay beside them.

    Args:
        folder: where to.
        options: `patients` of the films, `rsna`, `covidx`, `siim` and `chexpert` of the
            collections, `seed`, and `width` of the films in pixels.
        name: FILMS, MS_CXR_T (which are made together), or one of COLLECTIONS.
    """
    made_with = options.to_dict()
    note = folder / "made_with.json"
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != made_with:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(note, made_with)
    raw, out = folder / "raw", folder / "prepared" / name
    if (out / MANIFEST).is_file():
        return out
    seed, width, patients = options.seed, options.width, options.patients
    if name in COLLECTIONS:
        collection = COLLECTIONS[name]
        print(f"demo: inventing {options[name]} patients of {name} in {raw / name}", flush=True)
        collection.write(raw / name, options[name], seed, width=width)
        prepare(name, raw / name, out, width, *collection.options)
    elif name == FILMS:
        print(f"demo: inventing the visits of {patients} patients in {raw}", flush=True)
        write_progression(raw / "mimic_cxr", patients, seed, width=width)
        prepare("mimic_cxr", raw / "mimic_cxr", out, width)
    else:
        films = prepare_demo(folder, options, FILMS)
        write_ms_cxr_t(raw / MS_CXR_T, patients, seed)
        followed = (f"--images={raw / 'mimic_cxr'}", f"--films={films}")
        prepare(MS_CXR_T, raw / MS_CXR_T, out, width, *followed)
    return out


def prepare(source: str, raw: Path, out: Path, width: int, *options: str) -> None:
    """Prepare one source, as the command does; small films are not worth starting processes."""
    fixed = (f"--raw={raw}", f"--out={out}", "--workers=1", f"--sizes=long{width}")
    module, args = parse([source, *fixed, *options])
    module.prepare(args)
