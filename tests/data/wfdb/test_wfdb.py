"""WFDB records: every format, what headers claim, and a challenge folder through the command."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.leads import LEADS
from medjax.data.ecg.recording import Form, conform
from medjax.data.ecg.records import open_ecg
from medjax.data.manifest import read_manifest
from medjax.data.wfdb.header import parse_header
from medjax.data.wfdb.samples import CODINGS, read_record
from medjax.prepare import main

REAL = Path(__file__).parent / "recorded"
RANGES = {"80": 1 << 7, "212": 1 << 11, "16": 1 << 15, "61": 1 << 15, "160": 1 << 15}
RANGES |= {"24": 1 << 23, "32": 1 << 31}


def encode(values: np.ndarray, form: str) -> bytes:
    """Write whole numbers [samples, signals] in a format, bit by bit as its description says."""
    flat = values.reshape(-1).astype(np.int64)
    if form == "80":
        return (flat + 128).astype(np.uint8).tobytes()
    if form == "160":
        return (flat + 32768).astype("<u2").tobytes()
    if form in ("16", "61", "32"):
        return flat.astype({"16": "<i2", "61": ">i2", "32": "<i4"}[form]).tobytes()
    if form == "24":
        return b"".join(int(v % (1 << 24)).to_bytes(3, "little") for v in flat)
    out = bytearray()
    for first, second in zip(flat[::2] % 4096, [*(flat[1::2] % 4096), 0]):
        out += bytes([first & 255, (first >> 8) | (second >> 8) << 4, second & 255])
    return bytes(out[: (3 * len(flat) + 1) // 2])


def write_record(
    folder: Path, values, form="16", names=LEADS, gain="1000.0(0)/mV", rate=500, **changed
) -> Path:
    """Write a record of whole numbers [samples, signals]; return the path of its header."""
    folder.mkdir(parents=True, exist_ok=True)
    name = changed.get("name", "a")
    (folder / f"{name}.dat").write_bytes(encode(values, form))
    file, length = changed.get("file", f"{name}.dat"), changed.get("length", len(values))
    lines = [f"{changed.get('title', name)} {values.shape[1]} {rate} {length}"]
    sums = values.astype(np.int64).sum(axis=0) % 65536
    stated = changed.get("stated", form)
    lines += [f"{file} {stated} {gain} 16 0 0 {s} 0 {lead}" for s, lead in zip(sums, names)]
    lines += changed.get("comments", [])
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    return folder / f"{name}.hea"


@pytest.mark.parametrize("form", list(CODINGS))
@pytest.mark.parametrize("samples", [7, 10])
def test_every_format_is_read(tmp_path, form, samples):
    top = RANGES[form]
    values = np.random.default_rng(0).integers(-top + 1, top, (samples, 3))
    values[0], values[1] = top - 1, -top + 1
    record = read_record(write_record(tmp_path, values, form, LEADS[:3]))
    np.testing.assert_array_equal(record.values, values.T)
    assert record.notes == () and record.names == LEADS[:3]
    values[3, 1] = -top
    record = read_record(write_record(tmp_path, values, form, LEADS[:3]))
    assert np.argwhere(np.isnan(record.values)).tolist() == [[1, 3]]


def test_gain_baseline_and_unit(tmp_path):
    values = np.arange(24).reshape(8, 3)
    record = read_record(write_record(tmp_path, values, names=LEADS[:3], gain="4(10)/uV"))
    np.testing.assert_allclose(record.values * record.scale[:, None], (values.T - 10) / 4000)
    for gain in ("0", "0(0)/mV"):
        record = read_record(write_record(tmp_path, values, names=LEADS[:3], gain=gain))
        assert record.scale.tolist() == [1 / 200] * 3 and "not calibrated" in record.notes[0]


def test_only_the_asked_seconds_are_read(tmp_path):
    values = np.random.default_rng(0).integers(-100, 100, (5000, 2))
    header = write_record(tmp_path, values, names=LEADS[:2])
    np.testing.assert_array_equal(read_record(header, 1.5).values, values[:750].T)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"file": "../a.dat"}, None),
        ({"file": "link.dat"}, "leads out of its folder"),
        ({"file": "absent.dat"}, "no such signal file"),
        ({"length": 2_000_000_000}, "shorter than its header"),
        ({"length": -3}, "impossible"),
        ({"length": "many"}, "a number that is none"),
        ({"rate": "nan"}, "impossible"),
        ({"gain": "1e400/mV"}, "impossible gain"),
        ({"gain": "-/mV"}, "number"),
        ({"gain": "200/mmHg"}, "unit"),
        ({"title": "a/3"}, "several segments"),
        ({"stated": "310"}, "format 310"),
        ({"stated": "16x2"}, "several rates"),
        ({"stated": "16:5"}, "skew"),
        ({"stated": "16+9999999999999"}, "shorter than"),
    ],
)
def test_what_a_header_claims_is_checked(tmp_path, changed, fault):
    values = np.arange(24).reshape(8, 3)
    (tmp_path / "secret.dat").write_bytes(bytes(1000))
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "link.dat").symlink_to(tmp_path / "secret.dat")
    header = write_record(tmp_path / "r", values, names=LEADS[:3], **changed)
    if fault is None:  # the folder is stripped: what is read lies beside the header
        np.testing.assert_array_equal(read_record(header).values, values.T)
        return
    with pytest.raises(RecordFault, match=fault):
        read_record(header)


@pytest.mark.parametrize("text", ["", "# only: a comment", "a", "a 2 500", "a x", "a 1 500\na.dat"])
def test_what_is_no_header(text):
    with pytest.raises(RecordFault, match="not a WFDB header|a number that is none"):
        parse_header(text)


def test_a_spoilt_header_is_refused_or_read(tmp_path):
    """Whatever the bytes of a header are, nothing but RecordFault comes of it."""
    values = np.arange(24).reshape(8, 3)
    header = write_record(tmp_path, values, names=LEADS[:3], comments=["# Age: 50"])
    whole, rng = header.read_bytes(), np.random.default_rng(0)
    pieces = [b"9" * 30, b"-", b"1e400", b"nan", b"../", b"\0", b"x2", b":3", b"\xff", b"\n", b"("]
    for _ in range(300):
        start = int(rng.integers(len(whole)))
        piece = pieces[rng.integers(len(pieces))]
        header.write_bytes(whole[:start] + piece + whole[start + int(rng.integers(4)) :])
        with contextlib.suppress(RecordFault):
            record = read_record(header)
            conform(record.values, record.names, record.rate, Form(100, 10), record.scale)


def test_a_stale_folder_in_the_header_is_no_segment(tmp_path):
    values = np.arange(24).reshape(8, 3)
    header = write_record(tmp_path, values, names=LEADS[:3], title="ge_wfdb/00001_medians")
    assert read_record(header).values.shape == (3, 8)


def run(raw, out, *options):
    return main(["wfdb", f"--raw={raw}", f"--out={out}", "--workers=1", *options])


def test_a_challenge_folder(tmp_path):
    assert run(REAL, tmp_path / "out", "--sampling_rate=100") == 0
    opened = open_ecg(tmp_path / "out", "rhythm")
    (part,) = [part for part in opened.splits.values() if len(part.record_id)]
    assert part.record_id.tolist() == ["E07500"] and opened.samples == 1000
    assert part.age.tolist() == [78] and part.sex.tolist() == ["male"]
    assert opened.label_names == ("426177001", "67741000119109")
    assert part.labels.tolist() == [[1, 1]]
    signal = part.signals([0])[0]
    # Einthoven's law holds in real recordings, to the rounding of the file
    np.testing.assert_allclose(signal[0] + signal[2], signal[1], atol=0.02)


def test_records_that_cannot_be_used_are_counted(tmp_path, capsys):
    raw = tmp_path / "raw"
    values = np.random.default_rng(0).integers(-1000, 1000, (5000, 12))
    write_record(raw / "p1", values, comments=["# Age: 300", "# Sex: F", "# Patient: 7"])
    write_record(raw / "p2", values[:2500], rate=250, names=LEADS[::-1], comments=["#Patient: 7"])
    write_record(raw / "p3", values, name="b", length=2_000_000_000)
    write_record(raw / "p4", values[:, :8], name="c", names=("I", "II", *LEADS[6:]))
    assert run(raw, tmp_path / "out") == 1
    message = capsys.readouterr().err
    assert "b.hea: a signal file shorter than its header says" in message
    assert len(message.strip().splitlines()) == 1 and not list((tmp_path / "out").glob("*"))
    assert (
        run(raw, tmp_path / "out", "--max_bad_records=1", "--subject=folder", "--sampling_rate=500")
        == 0
    )
    manifest = read_manifest(tmp_path / "out")
    assert manifest["counts"][0]["reason"] == "a signal file shorter than its header says"
    noted = manifest["sets"]["rhythm"]["recordings_with"]
    assert noted["resampled from 250 Hz"] == 1
    assert noted["computed from I and II: III, aVR, aVL, aVF"] == 1
    opened = open_ecg(tmp_path / "out", "rhythm")
    ids = [name for part in opened.splits.values() for name in part.record_id]
    assert sorted(ids) == ["c", "p1/a", "p2/a"]


def test_records_of_one_patient_stay_together(tmp_path, capsys):
    raw = tmp_path / "raw"
    values = np.random.default_rng(0).integers(-1000, 1000, (500, 12))
    for i in range(6):
        write_record(raw, values, name=f"r{i}", comments=[f"# Patient: {i // 3}"])
    assert run(raw, tmp_path / "out", "--subject=patient", "--seconds=1") == 0
    parts = open_ecg(tmp_path / "out", "rhythm").splits.values()
    assert sum(len(set(part.subject_id)) for part in parts) == 2
    assert run(raw, tmp_path / "other", "--subject=mother") == 1
    assert "without the comment `# mother:`" in capsys.readouterr().err


def test_an_empty_folder(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    assert run(tmp_path / "raw", tmp_path / "out") == 1
    assert "no WFDB header" in capsys.readouterr().err


def test_as_the_wfdb_package_reads_them():
    wfdb = pytest.importorskip("wfdb")
    for header in sorted(REAL.glob("*.hea")):
        ours, theirs = read_record(header), wfdb.rdrecord(str(header.with_suffix("")))
        np.testing.assert_allclose(ours.values * ours.scale[:, None], theirs.p_signal.T)
        assert list(ours.names) == theirs.sig_name and ours.rate == theirs.fs


def test_a_damaged_signal_is_noted(tmp_path):
    for path in REAL.glob("E07500.*"):
        shutil.copy(path, tmp_path)
    data = bytearray((tmp_path / "E07500.mat").read_bytes())
    data[5000] ^= 4
    (tmp_path / "E07500.mat").write_bytes(data)
    assert read_record(tmp_path / "E07500.hea").notes == ("checksum differs from the header's",)
