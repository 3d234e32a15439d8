"""The command: files of a small MedFuse to folders and back, and everything that can be wrong."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from medjax.convert import main
from medjax.run.init_from import Source, read_variables
from medjax.systems.medfuse.convert import CONVERTER
from medjax.weights.files import read_weights, write_weights

SIZES = {"kind": "fusion", "backbone": "resnet", "stage_sizes": [1], "width": 8, "dim": 6}
SIZES |= {"layers": 1, "channels": 76, "num_classes": 25, "vision_num_classes": 14}
SIZES |= {"labels": "task", "mmtm_ratio": 4}


def weights_of(sizes: dict) -> dict[str, np.ndarray]:
    """A small published state dict, its names in the table's order, its counters not zero."""
    draw = np.random.default_rng(0)
    return {
        name: np.array(1234)
        if name.endswith("num_batches_tracked")
        else draw.normal(size=shape).astype(np.float32)
        for name, shape in CONVERTER.shapes(sizes).items()
    }


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    """Of the plain fusions."""
    return weights_of(SIZES)


def run(*argv: object) -> int:
    return main([str(argument) for argument in argv])


def refused(capsys, *argv: object) -> str:
    """The command ends with one sentence, which is returned with its exit code before it."""
    code = run(*argv)
    lines = capsys.readouterr().err.splitlines()
    assert code in (1, 2) and len(lines) == 1 and lines[0].startswith("medjax: ")
    return f"{code} {lines[0].removeprefix('medjax: ')}"


def assert_equal(found, expected) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("suffix", [".pth.tar", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.module."])
def test_there_and_back_is_the_same(tmp_path, published, prefix, suffix):
    file, folder, back = tmp_path / f"w{suffix}", tmp_path / "ours", tmp_path / f"back{suffix}"
    named = {prefix + name: value for name, value in published.items()}
    write_weights(file, named, {"epoch": 7, "note": "best"})
    assert run("medfuse", f"--from={file}", f"--to={folder}") == 0
    assert run("medfuse", "--back", f"--from={folder}", f"--to={back}") == 0
    weights = read_weights(back)
    assert_equal({name: weights.tensors[name] for name in named}, named)
    assert weights.extra == read_weights(file).extra
    if suffix != ".safetensors":  # that library writes its texts in any order
        assert back.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("kind", ["tokens", "mmtm", "daft"])
def test_the_other_fusions_go_there_and_back(tmp_path, kind):
    file, folder, back = tmp_path / "w.pth", tmp_path / "ours", tmp_path / "back.pth"
    write_weights(file, weights_of({**SIZES, "stage_sizes": [1, 1, 1, 1], "kind": kind}))
    assert run("medfuse", f"--from={file}", f"--to={folder}") == 0
    assert run("medfuse", "--back", f"--from={folder}", f"--to={back}") == 0
    assert back.read_bytes() == file.read_bytes()
    assert json.loads((folder / "converted.json").read_text())["model"]["kind"] == kind


def test_the_folder_says_what_the_weights_are(tmp_path, published, capsys):
    write_weights(tmp_path / "w.pth", published)
    assert run("medfuse", f"--from={tmp_path / 'w.pth'}", f"--to={tmp_path / 'ours'}") == 0
    assert f"--config.STAGE.init_from={tmp_path / 'ours'}" in capsys.readouterr().out
    record = json.loads((tmp_path / "ours" / "converted.json").read_text())
    assert record["compat"] == "published" and record["system"] == "medfuse"
    assert record["settings"] == {
        "model.backbone": "resnet4",
        "model.width": 8,
        "model.dim": 6,
        "model.layers": 1,
    }
    assert record["fields"]["model"]["model.absent_images"] == "zeros"
    assert record["fields"]["data"]["fio2_rule"] == "always_percent"
    assert len(record["source"]["sha256"]) == 64
    artefacts = json.loads((tmp_path / "ours" / "artefacts.json").read_text())
    assert artefacts["normalizer"]["name"] == "ph_ts1.0"
    assert len(artefacts["normalizer"]["columns"]) == len(artefacts["normalizer"]["means"]) == 76
    assert len(artefacts["labels"]) == 25 and artefacts["labels"][-1] == "Shock"
    variables = read_variables(Source(tmp_path / "ours", "best"))
    kernel = variables["params"]["fused_head"]["linear"]["kernel"]
    np.testing.assert_array_equal(kernel, published["fused_cls.0.weight"].T)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_types_are_kept_and_named(tmp_path, published, capsys, dtype):
    cast = {n: v.astype(dtype) if v.dtype == np.float32 else v for n, v in published.items()}
    write_weights(tmp_path / "w.pth", cast)
    assert run("medfuse", f"--from={tmp_path / 'w.pth'}", f"--to={tmp_path / 'ours'}") == 0
    assert f"some are {np.dtype(dtype).name}: they are computed with as float32" in (
        capsys.readouterr().out
    )
    assert run("medfuse", "--back", f"--from={tmp_path / 'ours'}", f"--to={tmp_path / 'b.pt'}") == 0
    assert_equal(read_weights(tmp_path / "b.pt").tensors, cast)


def damage(published: dict[str, np.ndarray], how: str) -> dict[str, np.ndarray]:
    changed = dict(published)
    weight = published["fused_cls.0.weight"]
    if how == "missing":
        del changed["projection.weight"]
    elif how == "unexpected":
        changed["decoder.weight"] = weight
    elif how == "transposed":
        changed["fused_cls.0.weight"] = np.ascontiguousarray(weight.T)
    elif how == "other head":
        changed["lstm_fused_cls.0.bias"] = np.zeros(14, np.float32)
    else:
        changed["fused_cls.0.weight"] = weight.astype(np.int8)
    return changed


@pytest.mark.parametrize(
    "how, sentence",
    [
        ("missing", "1 is missing (projection.weight)"),
        ("unexpected", "1 is unexpected (decoder.weight)"),
        ("transposed", "1 is of another shape (fused_cls.0.weight [12, 25] for [25, 12])"),
        ("other head", "1 is of another shape (lstm_fused_cls.0.bias [14] for [25])"),
        ("of whole numbers", "(fused_cls.0.weight [25, 12] int8 for [25, 12])"),
    ],
)
def test_names_that_do_not_fit_are_listed_and_refused_unless_asked(
    tmp_path, published, capsys, how, sentence
):
    write_weights(tmp_path / "w.pth", damage(published, how))
    argv = ("medfuse", f"--from={tmp_path / 'w.pth'}", f"--to={tmp_path / 'ours'}")
    said = refused(capsys, *argv)
    assert said.startswith(f"1 {tmp_path / 'w.pth'}: of 36 names ") and sentence in said
    assert not (tmp_path / "ours").exists()
    assert run(*argv, "--partial") == 0
    record = json.loads((tmp_path / "ours" / "converted.json").read_text())
    assert len(record["left_out"]) + len(record["missing"]) == 1
    assert run("medfuse", "--back", f"--from={tmp_path / 'ours'}", f"--to={tmp_path / 'b.pt'}") == 0


def test_a_file_of_something_else_is_refused(tmp_path, capsys):
    write_weights(tmp_path / "w.pth", {"encoder.weight": np.ones((2, 2), np.float32)})
    argv = ("medfuse", f"--from={tmp_path / 'w.pth'}", f"--to={tmp_path / 'ours'}", "--partial")
    assert "neither an ehr_model nor a cxr_model" in refused(capsys, *argv)


def test_a_wrong_command_line_is_one_sentence(tmp_path, published, capsys):
    write_weights(tmp_path / "w.pth", published)
    file, out = f"--from={tmp_path / 'w.pth'}", f"--to={tmp_path / 'ours'}"
    for argv, sentence in [
        (("medfus", file, out), "2 unknown system 'medfus'; did you mean 'medfuse'?"),
        (("--from=x",), "2 the first argument is the system, not --from=x"),
        (("medfuse", file), "2 the following arguments are required: --to"),
        (("medfuse", file, out, "--partal"), "2 unknown option --partal; did you mean '--partial'"),
        (("medfuse", file, out, "stray"), "2 unrecognized arguments: stray"),
        (("medfuse", "--from=absent.pth", out), "2 --from=absent.pth: no such file"),
        (("medfuse", f"--from={tmp_path}", out), "is a folder: with --back"),
        (("medfuse", "--back", file, out), "is a file: with --back"),
        (("medfuse", file, f"--to={tmp_path / 'w.pth'}"), "is a file; name a folder"),
        (("medfuse", file, f"--to={tmp_path}"), "exists; name another"),
        (("medfuse", file, f"--to={tmp_path}", "--overwrite"), "holds no converted weights"),
        (("medfuse", "--back", f"--from={tmp_path}", f"--to={tmp_path / 'x.h6'}"), "suffix '.h6'"),
        (
            ("medfuse", "--back", f"--from={tmp_path}", f"--to={tmp_path / 'x.pt'}"),
            "holds no checkpoints",
        ),
    ]:
        assert sentence in refused(capsys, *argv)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pth"]


def test_without_arguments_it_lists_what_it_knows(capsys):
    assert run() == 0
    out = capsys.readouterr().out
    assert "medfuse " in out and "torchvision " in out and "Example:" in out
    with pytest.raises(SystemExit) as end:
        run("medfuse", "--help")
    assert end.value.code == 0 and "--partial" in capsys.readouterr().out


def test_overwrite_replaces_converted_weights(tmp_path, published):
    write_weights(tmp_path / "w.pth", published)
    argv = ("medfuse", f"--from={tmp_path / 'w.pth'}", f"--to={tmp_path / 'ours'}")
    assert run(*argv) == 0
    assert run(*argv) == 2
    assert run(*argv, "--overwrite") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours", "w.pth"]


def test_a_payload_in_a_checkpoint_never_runs(tmp_path, capsys):
    """A file that Python's own reader would obey: neither its canary nor a folder appears."""
    import zipfile

    canary = tmp_path / "canary"
    call = b"\x80\x02cos\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR."
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("archive/data.pkl", call)
    argv = ("medfuse", f"--from={tmp_path / 'w.pth'}", f"--to={tmp_path / 'ours'}")
    assert "asks to call 'os.system'" in refused(capsys, *argv)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["w.pth"]


@pytest.mark.parametrize(
    "own, sentence",
    [
        ("{", "is broken"),
        ('{"system": "medfuse"}', "is broken"),
        (
            '{"system": "medst", "compat": "", "parts": [], "artefacts": {}, '
            '"fields": {"model": {}, "data": {}}}',
            "of medst, not of medfuse",
        ),
    ],
)
def test_what_a_file_says_of_its_run_is_checked(tmp_path, published, capsys, own, sentence):
    write_weights(tmp_path / "w.pth", published, {"medjax": own})
    argv = ("medfuse", f"--from={tmp_path / 'w.pth'}", f"--to={tmp_path / 'ours'}")
    assert sentence in refused(capsys, *argv)
