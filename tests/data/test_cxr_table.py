"""Any table of films to the X-ray store, through the command."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.prepared import open_set, read_manifest
from medjax.data.subject_split import hash_split
from medjax.data.xray.index import label_matrix, read_index
from medjax.prepare import main

N = 60


def make_table(folder):
    rng = np.random.default_rng(2)
    (folder / "images").mkdir(parents=True)
    rows = []
    for i in range(N):
        pixels = rng.integers(0, 256, (20, 30), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"images/{i:03d}.png")
        rows.append(
            {
                "image": f"images/{i:03d}.png",
                "patient": str(i // 2),
                "age": str(40 + i),
                "view": "PA",
                "Edema": ("0", "1", "")[i % 3],
                "Mass": ("1.0", "-1", "0")[i % 3],
            }
        )
    table = pd.DataFrame(rows)
    table.to_csv(folder / "labels.csv", index=False)
    return table


@pytest.fixture
def raw(tmp_path):
    make_table(tmp_path / "raw")
    return tmp_path / "raw"


def run(raw, out, *options):
    return main(["cxr_table", f"--raw={raw}", f"--out={out}", "--workers=1", *options])


def splits_of(out):
    return {name: list(part) for name, part in open_set(out, "xray").splits.items()}


def rewrite(raw, **columns):
    table = pd.read_csv(raw / "labels.csv", dtype=str, keep_default_na=False)
    table.assign(**columns).to_csv(raw / "labels.csv", index=False)


def test_films_labels_and_splits(raw, tmp_path):
    assert run(raw, tmp_path / "out", "--quality=100") == 0
    manifest = read_manifest(tmp_path / "out")
    assert manifest["sets"]["xray"]["labels"] == ["Edema", "Mass"]
    seen = 0
    for split, films in splits_of(tmp_path / "out").items():
        for film in films:
            i = int(film["dicom_id"][-7:-4])
            seen += 1
            assert film["subject_id"] == i // 2 and split == hash_split(str(i // 2))
            expected = ((0, 1, -2)[i % 3], (1, -1, 0)[i % 3])
            np.testing.assert_array_equal(film["labels"], expected)
            original = np.asarray(Image.open(raw / film["dicom_id"])).astype(int)
            assert np.abs(film["image"] - original).max() <= 6
    assert seen == N


def test_unlabelled_store_has_no_labels(raw, tmp_path):
    assert run(raw, tmp_path / "out", "--unlabelled") == 0
    (films,) = splits_of(tmp_path / "out").values()
    assert len(films) == N and not [film for film in films if "labels" in film]
    assert label_matrix(read_index(tmp_path / "out", "all")).shape == (N, 0)


def test_index_row_i_is_example_i(raw, tmp_path):
    assert run(raw, tmp_path / "out") == 0
    for split, films in splits_of(tmp_path / "out").items():
        index = read_index(tmp_path / "out", split)
        assert index["dicom_id"].tolist() == [film["dicom_id"] for film in films]
        for name in ("subject_id", "study_id", "study_time", "view"):
            assert index[name].tolist() == [film[name] for film in films]
        np.testing.assert_array_equal(label_matrix(index), [film["labels"] for film in films])


def test_hash_split_shares():
    names = [hash_split(str(i)) for i in range(20_000)]
    shares = [names.count(name) / len(names) for name in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.72, 0.08, 0.20], atol=0.01)


def test_split_column_is_followed(raw, tmp_path):
    rewrite(raw, split=["train"] * 40 + ["valid"] * 10 + ["test"] * 10)
    assert run(raw, tmp_path / "a") == 0
    sizes = read_manifest(tmp_path / "a")["sets"]["xray"]["splits"]
    assert sizes == {"train": 40, "validation": 10, "test": 10}
    assert run(raw, tmp_path / "b", "--split=hash") == 0
    assert read_manifest(tmp_path / "b")["sets"]["xray"]["splits"] != sizes


def test_patient_in_two_splits_is_refused(raw, tmp_path, capsys):
    rewrite(raw, split=["train"] * 41 + ["test"] * 19)
    assert run(raw, tmp_path / "out") == 1
    assert "1 subjects have images in more than one split" in capsys.readouterr().err


def test_missing_images_are_dropped_and_counted(raw, tmp_path):
    for i in (3, 30):
        (raw / f"images/{i:03d}.png").unlink()
    assert run(raw, tmp_path / "out") == 0
    (count, _) = read_manifest(tmp_path / "out")["counts"]
    assert (count["in"], count["out"]) == (N, N - 2)


def test_digest_list_is_checked(raw, tmp_path, capsys):
    images = sorted((raw / "images").iterdir())
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  images/{p.name}" for p in images]
    (raw / "SHA256SUMS.txt").write_text("\n".join(lines) + "\n")
    option = f"--sha256={raw / 'SHA256SUMS.txt'}"
    assert run(raw, tmp_path / "out", option) == 0
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(images[7])
    assert run(raw, tmp_path / "out", option) == 1
    message = capsys.readouterr().err
    assert images[7].name in message and "digest" in message
    assert run(raw, tmp_path / "out", option, "--max_bad_images=1") == 0
    (raw / "SHA256SUMS.txt").write_text("nonsense\n")
    assert run(raw, tmp_path / "other", option) == 1


def test_columns_by_name(raw, tmp_path):
    table = pd.read_csv(raw / "labels.csv", dtype=str, keep_default_na=False)
    table["patient"] = "p-" + table["patient"]
    table.rename(columns={"image": "Path", "patient": "Who"}).to_csv(raw / "list.csv", index=False)
    options = ("--table=list.csv", "--image_column=Path", "--patient_column=Who", "--labels=Mass")
    assert run(raw, tmp_path / "out", *options) == 0
    films = [film for part in splits_of(tmp_path / "out").values() for film in part]
    assert len({film["subject_id"] for film in films}) == N // 2
    assert min(film["subject_id"] for film in films) >= 0
    assert all(film["labels"].shape == (1,) for film in films)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--table=label.csv",), "label.csv: no such file"),
        (("--labels=Edma",), "did you mean 'Edema'"),
        (("--image_column=picture",), "no column 'picture'"),
        (("--labels=age",), "row 2: column 'age'"),
        (("--images=.",), "name their folder by --images"),
    ],
)
def test_wrong_names_are_one_sentence(raw, tmp_path, capsys, options, words):
    assert run(raw, tmp_path / "out", *options) == 1
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [(), ("--labels=Edema,Mass",)])
def test_one_bad_cell_does_not_remove_a_label(raw, tmp_path, capsys, options):
    table = pd.read_csv(raw / "labels.csv", dtype=str, keep_default_na=False)
    table.loc[12, "Mass"] = "yes"
    table.to_csv(raw / "labels.csv", index=False)
    assert run(raw, tmp_path / "out", *options) == 1
    message = capsys.readouterr().err
    assert "labels.csv, row 14: column 'Mass'" in message and "correct the cell" in message
    assert message.count("\n") == 1 and not (tmp_path / "out").exists()
    assert run(raw, tmp_path / "out", "--labels=Edema") == 0
    assert read_manifest(tmp_path / "out")["sets"]["xray"]["labels"] == ["Edema"]


def test_a_column_of_few_label_values_is_no_label(raw, tmp_path):
    rewrite(raw, grade=["2"] * 12 + ["0", "1"] * 24)
    assert run(raw, tmp_path / "out") == 0
    assert read_manifest(tmp_path / "out")["sets"]["xray"]["labels"] == ["Edema", "Mass"]


def test_a_repeated_image_is_named_with_both_rows(raw, tmp_path, capsys):
    table = pd.read_csv(raw / "labels.csv", dtype=str, keep_default_na=False)
    table.loc[25, "image"] = table.loc[1, "image"]
    table.to_csv(raw / "labels.csv", index=False)
    assert run(raw, tmp_path / "out") == 1
    message = capsys.readouterr().err
    assert "labels.csv: row 27 repeats image images/001.png of row 3; remove one" in message
    assert message.count("\n") == 1 and not (tmp_path / "out").exists()


def test_absolute_and_outside_paths_are_refused(raw, tmp_path, capsys):
    for bad in ("../labels.csv", str(raw / "images/000.png")):
        table = pd.read_csv(raw / "labels.csv", dtype=str, keep_default_na=False)
        table.loc[0, "image"] = bad
        table.to_csv(raw / "bad.csv", index=False)
        assert run(raw, tmp_path / "out", "--table=bad.csv") == 1
        assert capsys.readouterr().err.count("\n") == 1
