"""Preparing PTB-XL beside a script that reads it with the wfdb package (pip install wfdb).

    python -m tests.bench.ecg_preparation [--raw=DIR] [--records=1000] [--rounds=3]

`read` is reading alone, of the same records: our checked reader beside `wfdb.rdsamp`. `prepare` is
the command with one worker: leads by name, checks, set, table, digests, manifest; beside it the
example that PTB-XL ships: `wfdb.rdsamp` of every record, one array in memory, the statements by
`ast.literal_eval`, and `np.save`. Both run in one process, in turns; prints records per CPU second.
Without --raw the records are invented.
"""

import argparse
import ast
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import wfdb

from medjax import prepare as command
from medjax.data.demo.ecg import write_ptbxl
from medjax.data.wfdb.samples import read_record


def read_ours(records: list[Path]) -> None:
    """Our reader."""
    for path in records:
        record = read_record(path.with_suffix(".hea"))
        record.values * record.scale[:, None]


def read_wfdb(records: list[Path]) -> None:
    """The wfdb package."""
    for path in records:
        wfdb.rdsamp(str(path.with_suffix("")))


def prepare_ours(raw: Path, out: Path) -> None:
    """Our command."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        argv = ["ptbxl", f"--raw={raw}", f"--out={out}", "--workers=1", "--overwrite"]
        assert command.main(argv) == 0


def prepare_wfdb(raw: Path, out: Path) -> None:
    """The example of PTB-XL."""
    table = pd.read_csv(raw / "ptbxl_database.csv", index_col="ecg_id")
    table["scp_codes"] = [ast.literal_eval(codes) for codes in table.scp_codes]
    signals = [wfdb.rdsamp(str(raw / name))[0] for name in table.filename_lr]
    np.save(out / "raw100.npy", np.array(signals))


def cpu(work: Callable[[], None]) -> float:
    """CPU seconds of one run."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw, out = options.raw or Path(folder) / "raw", Path(folder) / "out"
        out.mkdir()
        if options.raw is None:
            write_ptbxl(raw, options.records, 0)
        records = sorted(raw.glob("records100/*/*.hea"))
        works = {
            "read": (lambda: read_ours(records), lambda: read_wfdb(records)),
            "prepare": (lambda: prepare_ours(raw, out), lambda: prepare_wfdb(raw, out)),
        }
        seconds = {
            name: [(cpu(a), cpu(b)) for _ in range(options.rounds)]
            for name, (a, b) in works.items()
        }
    print(f"{len(records)} records    ours: records/CPU s    wfdb: records/CPU s    ours to wfdb")
    for name, pairs in seconds.items():
        ours, theirs = (len(records) / statistics.median(column) for column in zip(*pairs))
        print(f"{name:10} {ours:27.0f} {theirs:22.0f} {ours / theirs:15.2f}")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
