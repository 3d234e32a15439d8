"""The embedded default: invented hearts, written as raw files, then prepared like real ones."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from medjax.data.demo.ecg import write_medians, write_ptbxl, write_random_risk, write_risk
from medjax.data.manifest import MANIFEST
from medjax.files import write_json
from medjax.prepare import parse


class DemoFolders(NamedTuple):
    """Prepared folders; None where there is none."""

    ecg: Path | None
    text: Path | None
    risk: Path | None


def prepare_demo(folder: Path, options: ConfigDict, signal: str, risk: bool) -> DemoFolders:
    """Return the prepared folders under `folder`, made on the first call.

    They are made anew when they were made with other options. The raw files stay beside them, so
    that a reader can see what `prepare` reads.

    Args:
        folder: of the demo.
        options: `config.data.demo`.
        signal: "median" or "rhythm".
        risk: whether the risk cohort is wanted; it has median beats alone.
    """
    made_with = {**options.to_dict(), "signal": signal}
    note = folder / "made_with.json"
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != made_with:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(note, made_with)
    raw, prepared = folder / "raw", folder / "prepared"
    made = DemoFolders(prepared / "ptbxl", prepared / "text", prepared / "risk" if risk else None)
    rate = f"--sampling_rate={options.sampling_rate}"
    if not (prepared / "ptbxl" / MANIFEST).is_file():
        print(f"demo: inventing {options.patients} patients in {raw}", flush=True)
        write_ptbxl(raw / "ptbxl", options.patients, options.seed)
        write_medians(raw / "ptbxl_plus", options.patients, options.seed)
        medians = f"--medians={raw / 'ptbxl_plus'}"
        wanted = (f"--signal={signal}", medians, rate)
        prepare("ptbxl", raw / "ptbxl", prepared / "ptbxl", *wanted)
    if not (prepared / "text" / MANIFEST).is_file():
        prepare("ecg_text", prepared / "ptbxl", prepared / "text")
    if risk and not (prepared / "risk" / MANIFEST).is_file():
        write = write_random_risk if options.risk == "random" else write_risk
        write(raw / "risk", options.subjects, options.seed)
        wanted = ("--unit=uV", "--signal=median", rate)
        prepare("ecg_arrays", raw / "risk", prepared / "risk", *wanted)
    return made


def prepare(source: str, raw: Path, out: Path, *options: str) -> None:
    """Prepare one source as the command does; so few are not worth starting processes."""
    module, args = parse([source, f"--raw={raw}", f"--out={out}", "--workers=1", *options])
    module.prepare(args)
