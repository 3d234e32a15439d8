"""Published sets of chest films through the command: tables, splits by patient, labels, places."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.chexpert import COMPETITION, lone_label
from medjax.data.chexpert import LABELS as CHEXPERT
from medjax.data.prepared import open_set, read_manifest
from medjax.data.siim import read_runs
from medjax.data.xray.index import label_matrix, read_index
from medjax.data.xray.regions import read_places
from medjax.prepare import main

SPLITS = ("train", "validation", "test")


def image(path, value=90, side=16):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((side, side), value, np.uint8)
    pixels[:4] = value // 2
    Image.fromarray(pixels).save(path)


def run(source, raw, out, *options):
    return main([source, f"--raw={raw}", f"--out={out}", "--workers=1", *options])


def read(out):
    """dicom_id -> (split, labels), of all splits; patients stand in one."""
    found, subjects = {}, {}
    for split in SPLITS:
        index = read_index(out, split)
        for dicom, subject, labels in zip(index["dicom_id"], index["subject_id"],
                                          label_matrix(index).tolist()):  # fmt: skip
            found[dicom] = (split, labels)
            assert subjects.setdefault(subject, split) == split
    return found


def places(out):
    return {label: set(of) for s in SPLITS for label, of in read_places(out, s).items()}


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def make_rsna(raw):
    rows = [("a", 1, 2, 3, 4, 1), ("a", 10, 20, 5, 5, 1), ("b", "", "", "", "", 0)]
    columns = ["patientId", "x", "y", "width", "height", "Target"]
    pd.DataFrame(rows, columns=columns).to_csv(raw / "stage_2_train_labels.csv", index=False)
    for name in "ab":
        image(raw / f"stage_2_train_images/{name}.png")
    (raw / "test.txt").write_text("a.dcm\n")


def test_rsna_has_a_label_and_one_region_of_all_boxes(raw, tmp_path):
    make_rsna(raw)
    out = tmp_path / "out"
    assert run("rsna", raw, out, f"--test_list={raw / 'test.txt'}", "--equalize") == 0
    films = read(out)
    assert films["a"] == ("test", [1]) and films["b"][1] == [0]
    assert films["b"][0] != "test"
    mask = open_set(out, "regions").splits["test"][0]["mask"]
    assert mask.shape == (1024, 1024) and (mask > 0).sum() == 3 * 4 + 5 * 5
    entry = read_manifest(out)["sets"]["xray"]
    assert entry["equalize"] and entry["labels"] == ["Pneumonia"]


def test_siim_reads_run_lengths_of_a_column_with_a_blank(raw, tmp_path):
    table = pd.DataFrame({"ImageId": ["a", "b", "a", "c"],
                          " EncodedPixels": ["10 2 3 1", " -1", "1024 5", "-1"]})  # fmt: skip
    table.to_csv(raw / "train-rle.csv", index=False)
    for name in "abc":
        image(raw / f"x/{name}.png")
    out = tmp_path / "out"
    assert run("siim", raw, out) == 0
    assert {k: labels for k, (_, labels) in read(out).items()} == {"a": [1], "b": [0], "c": [0]}
    (split,) = [s for s in SPLITS if read_places(out, s)]
    mask = open_set(out, "regions").splits[split][0]["mask"] > 0
    assert np.argwhere(mask[:, 0]).ravel().tolist() == [10, 11, 15]
    assert np.argwhere(mask[:, 1]).ravel().tolist() == [0, 1, 2, 3, 4]
    assert read_runs("10 2 3 1") == [(10, 2), (15, 1)]


def test_siim_reads_mask_files(raw, tmp_path):
    pd.DataFrame({"stem": ["a", "b"]}).to_csv(raw / "train.csv", index=False)
    (raw / "masks").mkdir()
    for name, value in (("a", 255), ("b", 0)):
        image(raw / f"images/{name}.png")
        mask = np.zeros((8, 8), np.uint8)
        mask[2, 5] = value
        Image.fromarray(mask).save(raw / f"masks/{name}.gif")
    options = (f"--masks={raw / 'masks'}", f"--images={raw / 'images'}", "--table=train.csv")
    assert run("siim", raw, tmp_path / "out", *options) == 0
    assert places(tmp_path / "out") == {"Pneumothorax": {"a"}}
    assert read(tmp_path / "out")["b"][1] == [0]


def make_chestxray14(raw):
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,"
    header += "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
    rows = [
        f"{patient:08d}_{k:03d}.png,{finding},{k},{patient},50,M,PA,2500,2048,0.1,0.1,\n"
        for patient, k, finding in [(1, 0, "No Finding"), (1, 1, "Mass|Hernia"), (2, 0, "Edema")]
    ]
    (raw / "Data_Entry_2017_v2020.csv").write_text(header + "".join(rows))
    boxes = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
    boxes += "00000001_001.png,Mass,1.5,2,3,4,,,\n00000002_000.png,Infiltrate,1,1,1,1,,,\n"
    (raw / "BBox_List_2017.csv").write_text(boxes)
    (raw / "test_list.txt").write_text("00000002_000.png\n")
    for name in ("00000001_000", "00000001_001", "00000002_000"):
        image(raw / f"images_001/images/{name}.png")


def test_chestxray14_keeps_the_published_test_list(raw, tmp_path):
    make_chestxray14(raw)
    out = tmp_path / "out"
    assert run("chestxray14", raw, out) == 0
    films = read(out)
    names = read_manifest(out)["sets"]["xray"]["labels"]
    shown = {k: [n for n, c in zip(names, codes) if c] for k, (_, codes) in films.items()}
    assert shown == {
        "00000001_000.png": [],
        "00000001_001.png": ["Mass", "Hernia"],
        "00000002_000.png": ["Edema"],
    }
    assert films["00000002_000.png"][0] == "test" != films["00000001_000.png"][0]
    assert places(out) == {"Mass": {"00000001_001.png"}, "Infiltration": {"00000002_000.png"}}
    assert "published test list" in read_manifest(out)["split_rule"]


def make_chexpert(raw):
    for table, rows in {
        "train.csv": [(1, 1, "frontal", 1.0), (1, 2, "lateral", ""), (3, 1, "frontal", -1.0)],
        "valid.csv": [(2, 1, "frontal", 0.0)],
    }.items():
        lines = []
        for patient, study, view, edema in rows:
            path = f"{table[:-4]}/patient{patient:05d}/study{study}/view1_{view}.jpg"
            image(raw / path)
            labels = {name: edema if name == "Edema" else "" for name in CHEXPERT}
            views = {"Frontal/Lateral": view.capitalize(), "AP/PA": "AP"}
            lines.append({"Path": f"CheXpert-v1.0-small/{path}", "Age": 60} | views | labels)
        pd.DataFrame(lines).to_csv(raw / table, index=False)


def test_chexperts_films_of_one_label_are_told(raw, tmp_path, monkeypatch, capsys):
    codes = np.zeros((5, len(CHEXPERT)), np.int8)
    edema, fracture = CHEXPERT.index("Edema"), CHEXPERT.index("Fracture")
    codes[[0, 1, 2], edema] = 1
    codes[1, fracture], codes[2, fracture], codes[3, fracture] = -2, -1, 1
    assert lone_label(codes).tolist() == [COMPETITION.index("Edema")] * 2 + [-1] * 3
    make_chexpert(raw)
    assert run("chexpert", raw, tmp_path / "few", "--mgca_split=patient") == 1
    assert "validation: 1, of which" in capsys.readouterr().err
    monkeypatch.setattr("medjax.data.mgca_splits.CHEXPERT_VALIDATION", 1)
    monkeypatch.setattr("medjax.data.mgca_splits.CHEXPERT_EACH", 0)
    for unit in ("patient", "row"):
        assert run("chexpert", raw, tmp_path / unit, f"--mgca_split={unit}") == 0
        splits = [split for split, _ in read(tmp_path / unit).values()]
        assert len(splits) == 4 and splits.count("test") == 1 and "validation" in splits


def test_chexpert_tests_on_its_validation_patients(raw, tmp_path):
    make_chexpert(raw)
    assert run("chexpert", raw, tmp_path / "out", "--frontal") == 0
    films = read(tmp_path / "out")
    at = CHEXPERT.index("Edema")
    assert {k.split("/")[2]: (s == "test", codes[at]) for k, (s, codes) in films.items()} == {
        "patient00001": (False, 1),
        "patient00003": (False, -1),
        "patient00002": (True, 0),
    }
    assert read_manifest(tmp_path / "out")["counts"][0] == {
        "rule": "frontal", "in": 4, "out": 3, "reason": "a lateral film"
    }  # fmt: skip


def make_covidx(raw, classes):
    lists = {"train": [("1", "a b.png", classes[0]), ("2", "c.png", classes[1])],
             "test": [("1", "d.png", classes[-1])]}  # fmt: skip
    for part, rows in lists.items():
        source = "cohen" if part == "train" else "rsna"
        lines = [f"{p} {name} {c} {source}\n" for p, name, c in rows]
        (raw / f"{part}.txt").write_text("".join(lines))
        for _, name, _ in rows:
            image(raw / part / name)


@pytest.mark.parametrize(
    ("classes", "labels", "of_test"),
    [
        (("normal", "pneumonia", "COVID-19"), ["normal", "pneumonia", "COVID-19"], [0, 0, 1]),
        (("negative", "positive"), ["COVID-19"], [1]),
    ],
)
def test_covidx_of_either_kind(raw, tmp_path, classes, labels, of_test):
    make_covidx(raw, classes)
    out = tmp_path / "out"
    assert run("covidx", raw, out) == 0
    films = read(out)
    assert set(films) == {"train/a b.png", "train/c.png", "test/d.png"}
    assert films["test/d.png"] == ("test", of_test)
    assert read_manifest(out)["sets"]["xray"]["labels"] == labels


def test_covidx_by_row_and_rsna_as_mgca(raw, tmp_path):
    lists = {"train": [(str(i % 5), f"{i}.png", "normal", "a") for i in range(10)],
             "test": [("0", "t.png", "COVID-19", "a")]}  # fmt: skip
    for part, rows in lists.items():
        (raw / f"{part}.txt").write_text("".join(" ".join(row) + "\n" for row in rows))
        for row in rows:
            image(raw / part / row[1])
    assert run("covidx", raw, tmp_path / "patients") == 0
    films = read(tmp_path / "patients")
    assert not {"train/0.png", "train/5.png"} & set(films), "their patient is tested on"
    assert [s for s, _ in films.values()].count("validation") == 2
    assert run("covidx", raw, tmp_path / "rows", "--split_unit=row") == 0
    splits = [split for split, _ in read(tmp_path / "rows").values()]
    assert [splits.count(split) for split in SPLITS] == [8, 2, 1]
    rows = "".join(f"{name},,,,,0\n" for name in "abcd")
    (raw / "stage_2_train_labels.csv").write_text(f"patientId,x,y,width,height,Target\n{rows}")
    for name in "abcd":
        image(raw / f"stage_2_train_images/{name}.png")
    assert run("rsna", raw, tmp_path / "rsna", "--mgca_split") == 0
    assert [split for split, _ in read(tmp_path / "rsna").values()].count("train") == 2
    assert "as MGCA" in read_manifest(tmp_path / "rsna")["split_rule"]


@pytest.mark.parametrize(
    ("source", "make", "damage", "expected"),
    [
        ("rsna", make_rsna, ("stage_2_train_labels.csv", "b,,,,,0", "b,,,,,2"), "neither 0 nor 1"),
        ("chestxray14", make_chestxray14, ("Data_Entry_2017_v2020.csv", "|Hernia", "|Hernai"),
         "no finding 'Hernai'; did you mean 'Hernia'?"),
        ("chestxray14", make_chestxray14, ("test_list.txt", "0", "9"), "names none of the images"),
        ("chexpert", make_chexpert, ("train.csv", "patient00003", "p3"), "no patient and study"),
        ("covidx", lambda raw: make_covidx(raw, ("normal", "positive")), ("train.txt", "1", "1"),
         "two versions"),
        ("covidx", lambda raw: make_covidx(raw, ("normal", "norml")), ("train.txt", "1", "1"),
         "no class 'norml' of COVIDx (normal, pneumonia, COVID-19, negative, positive); did"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(raw, tmp_path, source, make, damage, expected, capsys):
    make(raw)
    name, old, new = damage
    (raw / name).write_text((raw / name).read_text().replace(old, new))
    assert run(source, raw, tmp_path / "out") == 1
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("text", ["1", "5 -2", "", "1048576 1", "a b"])
def test_run_lengths_that_are_none(text):
    with pytest.raises(ValueError):
        read_runs(text)


def test_images_that_are_not_there_name_the_option(raw, tmp_path, capsys):
    make_rsna(raw)
    assert run("rsna", raw, tmp_path / "out", f"--images={tmp_path}/raw/none") == 1
    assert "--images" in capsys.readouterr().err
