"""Parquet files without patients: near-duplicates stay in one split, and the limit is told."""

import io
from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from medjax.data.cxr_parquet.blocks import BORDER, LINKED, block_splits, group_sizes, groups_of
from medjax.data.cxr_parquet.image_links import ImageRule, hash_bits, image_links
from medjax.data.cxr_parquet.text_links import TextRule, normalise_text, runs_of, text_links
from medjax.data.demo.radiology import draw_film
from medjax.data.prepared import open_set, read_manifest
from medjax.prepare import main

WORDS = np.array([f"{a}{b}" for a in "abcdefgh" for b in "lmnopqrst"])
GENERATOR = np.random.default_rng(0)


def report(words=40):
    return " ".join(GENERATOR.choice(WORDS, words))


def jpeg(pixels, quality=90):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


FILMS = [draw_film(i, 0, 5, 96).image for i in range(40)]


def write(folder, rows, paths=None):
    """Two files of rows (pixels or bytes, findings)."""
    folder.mkdir()
    images = [
        {"bytes": x if isinstance(x, bytes) else jpeg(x), "path": paths[i] if paths else None}
        for i, (x, _) in enumerate(rows)
    ]
    columns = {"image": images, "findings": [text for _, text in rows]}
    columns["impression"] = ["No change."] * len(rows)
    half = len(rows) // 2
    for name, part in (("0", slice(0, half)), ("1", slice(half, None))):
        table = pa.table({key: values[part] for key, values in columns.items()})
        pq.write_table(table, folder / f"train-{name}.parquet", row_group_size=7)


def run(raw, out, *options):
    return main(["cxr_parquet", f"--raw={raw}", f"--out={out}", "--workers=1", *options])


def splits_of(out):
    return {
        int(record["dicom_id"]): split
        for split, records in open_set(out, "xray").splits.items()
        for record in records
    }


def test_linked_rows_are_dropped_from_later_splits_and_the_limit_is_printed(tmp_path, capsys):
    rows = [(film, report()) for film in FILMS]
    rows[33] = (rows[33][0], rows[3][1] + " 17 ___")  # the report of a training row
    rows[38] = (jpeg(rows[5][0], 60), rows[38][1])  # the film of one, encoded anew
    write(tmp_path / "raw", rows)
    assert run(tmp_path / "raw", tmp_path / "out", "--border=2") == 0
    splits = splits_of(tmp_path / "out")
    assert set(range(40)) - set(splits) == {31, 32, 33, 35, 36, 38}
    assert [splits[i] for i in (0, 30, 34, 37, 39)] == [
        *("train", "train", "validation", "test", "test")
    ]
    manifest = read_manifest(tmp_path / "out")
    assert manifest["links"] == {"text": 1, "image": 1}
    assert manifest["groups"] == {"1": 36, "2": 2}
    assert "patients do leak" in capsys.readouterr().out
    film = next(iter(open_set(tmp_path / "out", "xray").splits["train"]))
    assert film["report"]["findings"] == rows[0][1]
    assert film["report"]["impression"] == "No change."
    assert not list((tmp_path / "out").glob(".parquet*"))


def test_paths_that_name_patients_are_used(tmp_path, capsys):
    paths = [f"files/p10/p1{i // 2:03d}/s5{i:03d}/x.jpg" for i in range(12)]
    write(tmp_path / "raw", [(film, "x") for film in FILMS[:12]], paths)
    assert run(tmp_path / "raw", tmp_path / "out") == 0
    films = [r for part in open_set(tmp_path / "out", "xray").splits.values() for r in part]
    assert {r["subject_id"] for r in films} == {1000 + i for i in range(6)}
    assert {r["study_id"] for r in films} == {5000 + i for i in range(12)}
    assert "leak" not in capsys.readouterr().out


def test_subjects_of_a_table_are_used(tmp_path, capsys):
    write(tmp_path / "raw", [(film, "x") for film in FILMS[:6]])
    table = pd.DataFrame({"row": range(6), "subject_id": [7, 7, 8, 8, 9, 9]})
    table.to_csv(tmp_path / "subjects.csv", index=False)
    option = f"--subjects={tmp_path / 'subjects.csv'}"
    assert run(tmp_path / "raw", tmp_path / "out", option) == 0
    splits = splits_of(tmp_path / "out")
    assert all(splits[2 * i] == splits[2 * i + 1] for i in range(3))
    table[:5].to_csv(tmp_path / "subjects.csv", index=False)
    assert run(tmp_path / "raw", tmp_path / "again", option) == 1
    assert "no row 5" in capsys.readouterr().err


def test_other_columns_are_named(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.table({"image": [1], "finding": ["x"]}), tmp_path / "raw/a.parquet")
    assert run(tmp_path / "raw", tmp_path / "out") == 1
    assert "no column 'findings'; did you mean 'finding'?" in capsys.readouterr().err


def test_texts_are_linked_as_all_pairs_would_be():
    base = [report() for _ in range(12)]
    texts = list(base)
    for i, changed in enumerate((1, 2, 4, 8)):
        words = base[i].split()
        for place in range(0, changed * 5, 5):
            words[place] = "zz"
        texts.append(" ".join(words))
    texts += ["too short", "too short"] + [report()] * 10
    rule = TextRule()
    found = {tuple(sorted(pair)) for pair in text_links(texts, rule)}
    expected = set()
    for (i, one), (j, other) in combinations(enumerate(texts), 2):
        a, b = runs_of(one, 5), runs_of(other, 5)
        enough = min(len(one.split()), len(other.split())) >= 25 and texts.count(one) < 10
        if enough and len(a & b) >= 0.8 * len(a | b):
            expected.add((i, j))
    assert found == expected and 0 < len(expected) < 4


def test_texts_are_brought_to_words_alone():
    assert normalise_text("No  effusion, 2.5 cm; ___ seen.\n") == "no effusion cm seen"


def test_films_are_linked_as_all_pairs_would_be():
    films = [*FILMS[:12], *(np.clip(f.astype(int) + 9, 0, 255).astype(np.uint8) for f in FILMS[:3])]
    thumbnails = np.stack([np.asarray(Image.fromarray(f).resize((64, 64))) for f in films])
    rule = ImageRule(bits=40, correlation=0.995)
    bits = hash_bits(thumbnails)
    flat = thumbnails.reshape(len(films), -1).astype(float)
    correlation = np.corrcoef(flat)
    expected = {
        (i, j)
        for i, j in combinations(range(len(films)), 2)
        if (bits[i] != bits[j]).sum() <= 40 and correlation[i, j] >= 0.995
    }
    assert set(image_links(thumbnails, rule)) == expected
    assert {(0, 12), (1, 13), (2, 14)} <= expected


def test_groups_are_connected_and_later_rows_of_one_dropped():
    groups = groups_of(20, [(1, 18), (18, 16), (2, 3)])
    assert groups[1] == groups[16] == groups[18] and group_sizes(groups) == {
        "1": 15,
        "2": 1,
        "3": 1,
    }
    splits = block_splits(groups, border=1)
    assert splits[16] == BORDER and splits[18] == BORDER and splits[17] == "validation"
    wide = block_splits(groups_of(20, [(0, 17), (17, 19)]), border=0)
    assert wide[17] == LINKED and wide[19] == LINKED and wide[0] == "train"
