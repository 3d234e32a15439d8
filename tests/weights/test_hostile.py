"""Hostile and broken files: nothing runs, nothing large is allocated, the error is one sentence."""

import json
import random
import resource
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.weights.files import read_weights, write_weights
from medjax.weights.torch_legacy import MAGIC

RECORDED = Path(__file__).parent / "recorded"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def zip_file(path: Path, pickle: bytes, packing: int = zipfile.ZIP_STORED, **members) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("archive/data.pkl", pickle)
        for name, data in members.items():
            archive.writestr(f"archive/data/{name.removeprefix('_')}", data)
    return path


def legacy_file(path: Path, pickle: bytes) -> Path:
    protocol, system, keys = b"\x80\x02M\xe9\x03.", b"\x80\x02}.", b"\x80\x02]."
    path.write_bytes(MAGIC + protocol + system + pickle + keys)
    return path


def refused(path: Path, sentence: str) -> None:
    """The file gives one sentence, and reading it takes no memory worth the name."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=sentence) as caught:
        read_weights(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def payloads(canary: Path) -> dict[str, bytes]:
    """Pickles that would make the canary file when Python's own reader ran them."""
    touch = f"open({str(canary)!r}, 'w').close()"
    return {
        "reduce": b"\x80\x02cbuiltins\nexec\n(" + text(touch) + b"tR.",
        "system": b"cposix\nsystem\n(" + text(f"touch {canary}") + b"tR.",
        "nested": b"\x80\x02}"
        + text("w")
        + b"cos\nsystem\n"
        + text(f"touch {canary}")
        + b"\x85Rs.",
        "instance": b"(" + text(touch) + b"i__builtin__\neval\n.",
        "object": b"(cbuiltins\nexec\n" + text(touch) + b"o.",
        "new": b"\x80\x02csubprocess\nPopen\n" + text(f"touch {canary}") + b"\x85\x81.",
        "stack": b"\x80\x04" + text("os") + text("system") + b"\x93" + text("touch x") + b"\x85R.",
        "getattr": b"cbuiltins\ngetattr\n(cpathlib\nPath\n" + text("touch") + b"tR.",
    }


@pytest.mark.parametrize("make", [zip_file, legacy_file])
@pytest.mark.parametrize("name", payloads(Path()))
def test_a_payload_never_runs_and_is_named(tmp_path, make, name):
    canary = tmp_path / "canary"
    path = make(tmp_path / "w.pth", payloads(canary)[name])
    refused(path, "asks to call '(builtins|posix|os|subprocess|__builtin__).*nothing was run")
    assert not canary.exists()


def test_a_bare_pickle_is_not_read(tmp_path):
    canary = tmp_path / "canary"
    for name, pickle in payloads(canary).items():
        (tmp_path / f"{name}.pkl").write_bytes(b"\x80\x02" + pickle.removeprefix(b"\x80\x02"))
        refused(tmp_path / f"{name}.pkl", "nothing of it was run")
    assert not canary.exists()


def test_classes_of_other_packages_are_left_closed(tmp_path):
    build = b"\x80\x02}(" + text("hyper") + b"ctests.weights.test_hostile\nBomb\n)R}b"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n"
    tensor += text("0") + text("cpu") + b"K\x01tQK\x00K\x01\x85K\x01\x85\x89NtR"
    path = zip_file(tmp_path / "w.pth", build + text("w") + tensor + b"u.", _0=b"\0\0\x80?")
    weights = read_weights(path)
    assert weights.tensors["w"] == [1] and weights.ignored == (
        "hyper (tests.weights.test_hostile.Bomb)",
    )


def tensor_pickle(count: int, offset: int, shape: tuple, strides: tuple) -> bytes:
    def integer(value: int) -> bytes:
        return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)

    def sizes(values: tuple) -> bytes:
        return b"(" + b"".join(map(integer, values)) + b"t"

    head = b"\x80\x02}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage")
    head += b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + integer(count) + b"tQ"
    return head + integer(offset) + sizes(shape) + sizes(strides) + b"\x89NtRs."


@pytest.mark.parametrize(
    "tensor, sentence",
    [
        ((4, 0, (10**12,), (1,)), "does not fit"),
        ((4, 0, (10**12,), (0,)), "does not fit"),
        ((4, 1, (4,), (1,)), "does not fit"),
        ((4, 0, (2, 2), (3, 1)), "does not fit"),
        ((4, 0, (2,), (-1,)), "no whole number"),
        ((4, -1, (2,), (1,)), "no whole number"),
        ((2**61, 0, (2**61,), (1,)), "claim"),
        ((8, 0, (4,), (1,)), "16 bytes, not 32"),
        ((3, 0, (2,), (1,)), "16 bytes, not 12"),
        ((4, 0, (2, 2), (1,)), "more sizes than strides"),
        ((4, 0, (1,) * 40, (1,) * 40), "shape that is none"),
        ((4, 0, (0, 2**61), (1, 1)), "does not fit"),
    ],
)
def test_a_tensor_must_lie_inside_its_storage(tmp_path, tensor, sentence):
    refused(zip_file(tmp_path / "w.pth", tensor_pickle(*tensor), _0=bytes(16)), sentence)


@pytest.mark.parametrize("shape, strides", [((1, 4), (2**61, 1)), ((0, 3), (2**61, 2**61))])
def test_a_stride_that_is_never_used_may_be_anything(tmp_path, shape, strides):
    path = zip_file(tmp_path / "w.pth", tensor_pickle(4, 0, shape, strides), _0=bytes(16))
    assert read_weights(path).tensors["w"].shape == shape


def test_zip_bombs_and_twins_are_refused(tmp_path):
    pickle = tensor_pickle(10**7, 0, (10**7,), (1,))
    bomb = zip_file(tmp_path / "bomb.pth", pickle, zipfile.ZIP_DEFLATED, _0=bytes(4 * 10**7))
    refused(bomb, "claims 40,000,000 bytes in a file of")
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / "twin.pth", "w") as archive:
        for _ in range(2):
            archive.writestr("archive/data.pkl", pickle)
    refused(tmp_path / "twin.pth", "twice")
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as archive:
        archive.writestr("../../etc/evil", "")
    refused(tmp_path / "other.pth", "not one that PyTorch wrote")


@pytest.mark.parametrize(
    "pickle, sentence",
    [
        (b"\x80\x02]" + b"]" * 100 + b"0" * 200 + b".", "empty stack"),
        (b"\x80\x02" + b"(" * 1000 + b".", "empty stack"),
        (b"\x80\x02h\x07.", "nothing was kept"),
        (b"\x80\x02K\x01K\x02s.", "broken"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02]", "broken"),
        (b"\x80\x02\x8e" + b"\xff" * 7 + b"\x7f.", "broken"),
        (b"\x80\x02X\xff\xff\xff\xffabc.", "broken"),
        (b"\x80\x02}.", "no weights"),
        (b"\x80\x02(lp0\nI1\naI2\na.", "no dictionary"),
    ],
)
@pytest.mark.parametrize("make", [zip_file, legacy_file])
def test_a_broken_stream_ends_in_a_sentence(tmp_path, make, pickle, sentence):
    refused(make(tmp_path / "w.pth", pickle), sentence)


def test_values_that_refer_to_one_another_take_no_time(tmp_path):
    """Doubling tuples ("billion laughs") and deep nesting are never walked."""
    doubling = b"\x80\x02)" + b"2\x86" * 200 + b"cmodel\nPart\nq\x01)R" + b"0" + b"."
    refused(zip_file(tmp_path / "w.pth", doubling), "no dictionary")
    key = b"\x80\x02})" + b"2\x86" * 200 + b"K\x01s."
    refused(zip_file(tmp_path / "k.pth", key), "an empty dictionary")
    refused(
        zip_file(tmp_path / "d.pth", b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b"."),
        "no dictionary",
    )


def safetensors_file(path: Path, header: object, data: bytes = bytes(16), length=None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def entry(dtype: str, shape: list, first: int, last: int) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


@pytest.mark.parametrize(
    "header, sentence",
    [
        ({"a": entry("F32", [3], 0, 12), "b": entry("F32", [3], 4, 16)}, "invalid offset"),
        ({"a": entry("F32", [3], 0, 12)}, "not fully covered"),
        ({"a": entry("F32", [10**12], 0, 16)}, "invalid shape"),
        ({"a": entry("F32", [2**62, 8], 0, 16)}, "header is wrong"),
        ({"a": entry("Q9", [4], 0, 16)}, "unknown variant `Q9`"),
        ({"a": {"dtype": "F32"}}, "header is wrong"),
        ({"a": entry("F32", [0, 2**62], 0, 0), "b": entry("F32", [4], 0, 16)}, "has a size of"),
        (b'{"a":' + b"[" * 100_000, "no JSON"),
        ([1], "no JSON object"),
        (
            b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},'
            b'"a":{"dtype":"I32","shape":[4],"data_offsets":[0,16]}}',
            "twice",
        ),
    ],
)
def test_a_wrong_safetensors_header_is_refused(tmp_path, header, sentence):
    refused(safetensors_file(tmp_path / "w.safetensors", header), sentence)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**8, 17])
def test_a_header_longer_than_its_file_is_not_allocated(tmp_path, length):
    refused(safetensors_file(tmp_path / "w.safetensors", b"{}", bytes(8), length), "claims")


def changed(data: bytes, seed: int) -> list[bytes]:
    """Every beginning of a file (thinned out), and copies with bits and bytes changed."""
    rng = random.Random(seed)
    out = [data[:end] for end in range(0, len(data), max(1, len(data) // 80))]
    for _ in range(120):
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 4))):
            copy[rng.randrange(len(copy))] ^= 1 << rng.randrange(8)
        out.append(bytes(copy))
    return out


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_damage_gives_a_sentence_or_the_same_values(tmp_path, kind):
    """PyTorch's old format and safetensors have no checksums: there a value may differ."""
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth.tar")
    if kind == "safetensors":
        write_weights(path, {"a": np.arange(3.0), "b": np.array(2)})
    else:
        path.write_bytes((RECORDED / f"{kind}.pth.tar").read_bytes())
    whole = read_weights(path).tensors
    for data in changed(path.read_bytes(), seed=len(kind)):
        path.write_bytes(data)
        try:
            found = read_weights(path).tensors
        except UserError as error:
            assert str(error).startswith(str(path))
            continue
        if kind == "zip":
            for name, value in whole.items():
                np.testing.assert_array_equal(found[name], value)


def test_the_stream_is_bounded(monkeypatch, tmp_path):
    monkeypatch.setattr("medjax.weights.unpickle.MOST_OPERATIONS", 50)
    refused(zip_file(tmp_path / "w.pth", b"\x80\x02" + b"N0" * 100 + b"N."), "more than 50")


def test_opening_a_file_leaves_it_closed(tmp_path):
    write_weights(tmp_path / "w.pth", {"a": np.ones(3, np.float32)})
    found = read_weights(tmp_path / "w.pth").tensors["a"]
    (tmp_path / "w.pth").write_bytes(b"")
    np.testing.assert_array_equal(found, np.ones(3))
    with pytest.raises(ValueError):
        found[0] = 2
