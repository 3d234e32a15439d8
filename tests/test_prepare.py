"""The prepare command: sources by name, mistakes in one sentence, private files, one writer."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medjax.prepare import find_sources, main, overview


@pytest.fixture(autouse=True)
def keep_umask():
    mask = os.umask(0o022)
    yield
    os.umask(mask)


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def test_sources_are_found_without_importing_them(tmp_path):
    body = '"""{}"""\nraise ImportError\ndef add_arguments(p): ...\ndef prepare(a): ...\n'
    (tmp_path / "one.py").write_text(body.format("First."))
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "prepare.py").write_text(body.format("Second.\n\nMore."))
    (tmp_path / "helper.py").write_text("def prepare(a): ...\n")
    found = find_sources(tmp_path, "package")
    assert [(s.name, s.module, s.summary) for s in found.values()] == [
        ("one", "package.one", "First."),
        ("two", "package.two.prepare", "Second."),
    ]


def test_without_arguments_it_lists_sources_and_an_example(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert text.strip() == overview() and "mimic_cxr" in text and "--raw=" in text


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["mimic_cxx"], "did you mean 'mimic_cxr'"),
        (["--raw=x"], "first argument is the source"),
        (["cxr_table", "--raw={raw}", "--out={out}", "--lables=a"], "did you mean '--labels'"),
        (["cxr_table", "--raw={raw}", "--out={out}", "stray"], "stray"),
        (["cxr_table", "--out={out}"], "--raw"),
        (["cxr_table", "--raw={raw}/absent", "--out={out}"], "no such folder"),
        (["cxr_table", "--raw={raw}", "--out={raw}"], "same folder"),
        (["cxr_table", "--raw={raw}", "--out={out}", "--workers=-1"], "--workers"),
        (["cxr_table", "--raw={raw}", "--out={out}", "--split=other"], "expects published or hash"),
        (
            ["cxr_table", "--raw={raw}", "--out={out}", "--split=hashed"],
            "--split expects published or hash, not 'hashed'; did you mean 'hash'?",
        ),
        (
            ["mimic_iv", "--raw={raw}", "--out={out}", "--compat=publishd"],
            "did you mean 'published'?",
        ),
        (
            ["cxr_table", "--raw={raw}", "--out={out}", "--limit=x"],
            "medjax: --limit expects a whole number above 0, not 'x'",
        ),
        (
            ["cxr_table", "--raw={raw}", "--out={out}", "--quality=101"],
            "--quality expects a whole number from 1 to 100, not '101'",
        ),
        (["cxr_table", "--raw={raw}", "--out={out}", "--sizes=big"], "--sizes expects"),
        (["mimic_cxr", "--raw={raw}", "--out={out}", "--quality=high"], "--quality"),
        (["wfdb", "--raw={raw}", "--out={out}", "--leads=3"], "--leads expects 12 or 8, not 3"),
        (["mimic_cxr", "--raw={raw}", "--out={out}", "--tasks=phenotyping"], "needs --ehr"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(raw, tmp_path, capsys, argv, words):
    out = tmp_path / "out"
    assert main([a.format(raw=raw, out=out) for a in argv]) == 2
    message = capsys.readouterr().err
    assert words in message and message.startswith("medjax: ") and message.count("\n") == 1
    assert not out.exists()


def test_folder_of_another_source_is_kept(raw, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text('{"source": "mimic_iv"}')
    assert main(["cxr_table", f"--raw={raw}", f"--out={out}"]) == 2
    assert "mimic_iv" in capsys.readouterr().err


def contents(folder):
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--limit=9",), "--limit=none (now 9)"),
        (("--split=hash", "--quality=90"), "--quality=95 (now 90), --split=published (now hash)"),
        (("--images={raw}",), "another --images"),
        (("--raw={other}",), "with another --raw;"),
    ],
)
def test_what_was_prepared_otherwise_is_kept(tmp_path, capsys, options, words):
    from tests.data.test_cxr_table import make_table

    for name in ("raw", "other"):
        make_table(tmp_path / name)
    out = tmp_path / "out"
    command = ["cxr_table", f"--raw={tmp_path / 'raw'}", f"--out={out}", "--workers=1"]
    assert main(command) == 0
    before = contents(out)
    given = [o.format(raw=tmp_path / "raw", other=tmp_path / "other") for o in options]
    capsys.readouterr()
    assert main([*command, *given]) == 2
    message = capsys.readouterr().err
    assert words in message and "--overwrite" in message and message.count("\n") == 1
    assert main([*command, *given, "--dry_run"]) == 0
    assert contents(out) == before
    assert main([*command, *given, "--overwrite"]) == 0
    assert main([*command, *given, "--workers=2"]) == 0  # equal options: prepared again


def test_second_writer_is_refused(raw, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "held").write_text("")
    handle = os.open(out, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert main(["cxr_table", f"--raw={raw}", f"--out={out}"]) == 1
    finally:
        os.close(handle)
    assert "another process" in capsys.readouterr().err


def test_files_are_private_and_the_module_runs(tmp_path):
    from tests.data.test_cxr_table import make_table

    make_table(tmp_path / "raw")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "medjax.prepare", "cxr_table"]
    options = [f"--raw={tmp_path / 'raw'}", f"--out={out}", "--workers=2"]
    root = Path(__file__).parents[1]
    result = subprocess.run([*command, *options], cwd=root, capture_output=True, text=True)
    assert result.returncode == 0 and "images/s" in result.stdout, result.stderr
    for path in [out, *out.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
