"""The embedded default: invented patients, written as raw files, then prepared like real ones."""

import json
import shutil
from pathlib import Path

from ml_collections import ConfigDict

from medjax.data.demo.icu import write_icu
from medjax.data.demo.xray import write_cxr
from medjax.data.manifest import MANIFEST
from medjax.files import write_json
from medjax.prepare import parse


def prepare_demo(folder: Path, options: ConfigDict, task: str) -> tuple[Path, Path]:
    """Return the prepared ICU and X-ray folders under `folder`, made on the first call.

    They are made anew when they were made with other options. The raw files stay beside them, so
    that a reader can see what `prepare` reads.
    """
    made_with = {**options.to_dict(), "task": task}
    note = folder / "made_with.json"
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != made_with:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(note, made_with)
    raw_icu, raw_cxr = folder / "raw" / "mimic_iv", folder / "raw" / "mimic_cxr"
    icu, xray = folder / "prepared" / "mimic_iv", folder / "prepared" / "mimic_cxr"
    if not (icu / MANIFEST).is_file():
        print(f"demo: inventing {options.patients} patients in {folder / 'raw'}", flush=True)
        write_icu(raw_icu, options.patients, options.seed)
        prepare("mimic_iv", raw_icu, icu, f"--tasks={task}")
    if not (xray / MANIFEST).is_file():
        write_cxr(raw_cxr, options.patients, options.seed)
        prepare("mimic_cxr", raw_cxr, xray, f"--ehr={icu}", f"--tasks={task}")
    return icu, xray


def prepare(source: str, raw: Path, out: Path, *options: str) -> None:
    """Prepare one source as the command does; so few are not worth starting processes."""
    module, args = parse([source, f"--raw={raw}", f"--out={out}", "--workers=1", *options])
    module.prepare(args)
