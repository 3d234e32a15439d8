"""Films to the store: several sizes, any engine and number of workers, going on after a kill."""

import functools
import importlib.util
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.prepared import open_set, read_manifest
from medjax.data.xray import parts as parts_module
from medjax.data.xray import run as run_module
from medjax.data.xray.encode import Encoded, Encoding, Job, encode_film
from medjax.data.xray.parts import encoded_films, keep_part, plan_parts, read_part
from medjax.errors import UserError
from medjax.prepare import main

N = 40


def make_raw(folder, films=N, shape=(90, 70)):
    rng = np.random.default_rng(5)
    (folder / "images").mkdir(parents=True)
    rows = []
    for i in range(films):
        coarse = Image.fromarray(rng.integers(20, 235, (6, 5), dtype=np.uint8))
        film = coarse.resize(shape[::-1], Image.Resampling.BICUBIC)
        film.save(folder / f"images/{i:04d}.jpg", quality=95)
        rows.append({"image": f"images/{i:04d}.jpg", "patient": str(i // 2), "Mass": str(i % 2)})
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_raw(tmp_path_factory.mktemp("films") / "raw")


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(parts_module, "FILMS_A_PART", 8)


def run(raw, out, *options):
    return main(["cxr_table", f"--raw={raw}", f"--out={out}", "--workers=1", *options])


def digest(out):
    return read_manifest(out)["sets"]["xray"]["digest"]


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_no_record(raw, tmp_path, small_parts, workers):
    assert run(raw, tmp_path / "a") == 0
    assert run(raw, tmp_path / "b", f"--workers={workers}") == 0
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert not list(tmp_path.glob("*/.*"))


def test_several_sizes_in_one_store(raw, tmp_path):
    sizes = "--sizes=64,long45,square32,short300"
    assert run(raw, tmp_path / "out", sizes) == 0
    entry = read_manifest(tmp_path / "out")["sets"]["xray"]
    shapes = {
        "image": (82, 64), "image_long45": (45, 35), "image_square32": (32, 32),
        "image_short300": (90, 70),
    }  # fmt: skip
    assert set(entry["images"]) == set(shapes)
    films = open_set(tmp_path / "out", "xray").splits["train"]
    assert {name: films[0][name].shape for name in shapes} == shapes
    one = open_set(tmp_path / "out", "xray", fields=("image_long45",)).splits["train"]
    assert set(one[3]) == {"image_long45"}
    np.testing.assert_array_equal(one[3]["image_long45"], films[3]["image_long45"])
    with pytest.raises(UserError, match="'image_long54'; did you mean 'image_long45'"):
        open_set(tmp_path / "out", "xray", fields=("image_long54",))


@pytest.mark.parametrize("wrong", ["long9", "64,width64", "wide64", ""])
def test_wrong_sizes_are_one_sentence(raw, tmp_path, capsys, wrong):
    assert run(raw, tmp_path / "out", f"--sizes={wrong}") == 2
    message = capsys.readouterr().err
    assert "--sizes expects" in message and message.count("\n") == 1


def test_scaled_decoding_is_near_the_exact_one(tmp_path):
    raw = make_raw(tmp_path / "raw", 4, (1000, 800))
    kept = {}
    for decoding in ("exact", "scaled"):
        assert run(raw, tmp_path / decoding, "--sizes=100", f"--decoding={decoding}") == 0
        films = open_set(tmp_path / decoding, "xray").splits.values()
        kept[decoding] = np.concatenate([film["image"] for part in films for film in part])
        assert read_manifest(tmp_path / decoding)["sets"]["xray"]["decoding"] == decoding
    change = np.abs(kept["exact"].astype(int) - kept["scaled"])
    assert 0 < change.mean() < 1 and change.max() <= 8


def stop_after(monkeypatch, films):
    """Let the encoding of films be interrupted, and count it."""
    calls = []

    def encode(root, encoding, job):
        calls.append(job)
        if len(calls) > films:
            raise KeyboardInterrupt
        return encode_film(root, encoding, job)

    monkeypatch.setattr(run_module, "encode_film", encode)
    return calls


def test_a_stopped_run_goes_on(raw, tmp_path, small_parts, monkeypatch, capsys):
    assert run(raw, tmp_path / "whole") == 0
    stop_after(monkeypatch, 20)
    assert run(raw, tmp_path / "out") == 130
    kept = list((tmp_path / "out/.xray.parts").glob("*.parquet"))
    assert 1 <= len(kept) <= 2 and not (tmp_path / "out/manifest.json").exists()
    calls = stop_after(monkeypatch, N)
    assert run(raw, tmp_path / "out") == 0
    assert len(calls) == N - 8 * len(kept)
    assert f"{8 * len(kept)} images were encoded by a run that was stopped" in (
        capsys.readouterr().out
    )
    assert digest(tmp_path / "out") == digest(tmp_path / "whole")
    assert not (tmp_path / "out/.xray.parts").exists()


def test_changed_films_and_other_options_are_encoded_anew(tmp_path, small_parts, monkeypatch):
    raw = make_raw(tmp_path / "raw")
    for change in ("film", "option"):
        stop_after(monkeypatch, 30)
        assert run(raw, tmp_path / change) == 130
        if change == "film":
            Image.new("L", (70, 90), 255).save(raw / "images/0000.jpg")
        monkeypatch.undo()
        option = ["--quality=50"] if change == "option" else []
        assert run(raw, tmp_path / change, *option) == 0
        assert run(raw, tmp_path / f"{change}-fresh", *option) == 0
        assert digest(tmp_path / change) == digest(tmp_path / f"{change}-fresh")


def test_half_a_part_is_no_part(raw, tmp_path):
    encode = functools.partial(encode_film, raw, Encoding())
    (part,) = plan_parts(tmp_path, raw, Encoding(), [Job("images/0000.jpg"), Job("images/1.jpg")])
    films = [Encoded((b"one",)), Encoded((b"two", b"three"))]
    assert read_part(part) is None
    keep_part(part, films)
    assert read_part(part) == films
    keep_part(part._replace(path=tmp_path / "bad"), [*films[:1], Encoded((), "unreadable")])
    assert not (tmp_path / "bad").exists()
    part.path.write_bytes(part.path.read_bytes()[:-9])
    assert read_part(part) is None
    first, second = encoded_films([part], encode, lambda jobs: (encode(job) for job in jobs))
    assert first == encode(part.jobs[0]) and "1.jpg" in second.error


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_and_goes_on(tmp_path):
    raw = make_raw(tmp_path / "raw", 700, (900, 700))
    command = [sys.executable, "-m", "medjax.prepare", "cxr_table", f"--raw={raw}"]
    command += [f"--out={tmp_path / 'out'}", "--workers=2", "--sizes=64"]
    process = subprocess.Popen(command, start_new_session=True)
    while not list(tmp_path.glob("out/.xray.parts/[!.]*.parquet")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not members(process.pid)
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "images were encoded by a run that was stopped" in out
    assert run(raw, tmp_path / "fresh", "--sizes=64") == 0
    assert digest(tmp_path / "out") == digest(tmp_path / "fresh")


def members(group):
    """Living processes of a process group."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                state, _, of_group = f.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(of_group) == group and state != "Z":
            found.append(pid)
    return found


def test_beam_gives_the_same_records(raw, tmp_path, small_parts):
    pytest.importorskip("apache_beam", reason="needs the extra medjax[beam]")
    options = "--beam_options=--runner=FnApiRunner"
    assert run(raw, tmp_path / "local") == 0
    assert run(raw, tmp_path / "beam", "--engine=beam", options) == 0
    assert digest(tmp_path / "local") == digest(tmp_path / "beam")


@pytest.mark.skipif(importlib.util.find_spec("apache_beam") is not None, reason="has Beam")
def test_beam_is_asked_for_where_it_is_missing(raw, tmp_path, capsys):
    assert run(raw, tmp_path / "out", "--engine=beam") == 1
    message = capsys.readouterr().err
    assert "pip install 'medjax[beam]'" in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()
