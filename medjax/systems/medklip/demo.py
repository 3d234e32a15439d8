"""The embedded default: invented films with reports, prepared like real ones."""

import json
import shutil
from pathlib import Path

from ml_collections import ConfigDict

from medjax.data.demo.radiology import MASKS, TABLE, write_radiology
from medjax.data.manifest import MANIFEST
from medjax.files import write_json
from medjax.prepare import parse


def prepare_demo(folder: Path, options: ConfigDict) -> tuple[Path, Path]:
    """Return the prepared films and triplets under `folder`, made on the first call.

    They are made anew when they were made with other options; the raw files stay beside them.

    Args:
        folder: where to.
        options: patients, seed, and width of the films in pixels.
    """
    made_with = options.to_dict()
    note = folder / "made_with.json"
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != made_with:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(note, made_with)
    raw, xray = folder / "raw" / "films", folder / "prepared" / "films"
    triplets = folder / "prepared" / "triplets"
    if not (xray / MANIFEST).is_file():
        print(f"demo: inventing the films of {options.patients} patients in {raw}", flush=True)
        write_radiology(raw, options.patients, options.seed, width=options.width)
        tables = (f"--table={TABLE}", f"--masks={MASKS}")
        prepare("cxr_table", raw, xray, *tables, f"--sizes=square{options.width}")
    if not (triplets / MANIFEST).is_file():
        prepare("radgraph", xray, triplets)
    return xray, triplets


def prepare(source: str, raw: Path, out: Path, *options: str) -> None:
    """Prepare one source, as the command does; small films are not worth starting processes."""
    module, args = parse([source, f"--raw={raw}", f"--out={out}", "--workers=1", *options])
    module.prepare(args)
