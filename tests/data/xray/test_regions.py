"""Places of findings: boxes and masks of a table, as masks of a prepared set."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.boxes import Box
from medjax.data.prepared import open_set, read_manifest
from medjax.data.xray.places import open_places, placed_labels, read_shares
from medjax.data.xray.regions import Region, draw, read_boxes_table, read_places
from medjax.errors import UserError
from medjax.prepare import main


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    names = [f"{i}.png" for i in range(4)]
    for name in names:
        Image.fromarray(np.full((20, 30), 90, np.uint8)).save(folder / name)
    table = {"image": names, "patient": [1, 2, 3, 4], "split": ["train", "train", "val", "test"]}
    pd.DataFrame(table).to_csv(folder / "films.csv", index=False)
    reports = {"image": names[::-1], "findings": ["d", "c", "b", "a"], "study_id": [4, 3, 2, 1]}
    pd.DataFrame(reports).to_csv(folder / "reports.csv", index=False)
    boxes = {
        "image": ["0.png", "0.png", "2.png", "9.png"],
        "label": ["Mass", "Mass", "Edema", "Mass"],
        **{"x": [0, 20, 1, 0], "y": [0, 10, 1, 0], "w": [3, 4, 2, 1], "h": [2, 4, 2, 1]},
    }
    pd.DataFrame(boxes).to_csv(folder / "boxes.csv", index=False)
    mask = np.zeros((5, 6), np.uint8)
    mask[2, 3] = 7
    Image.fromarray(mask).save(folder / "mask.png")
    masks = {"image": ["3.png"], "label": ["Mass"], "mask": ["mask.png"]}
    pd.DataFrame(masks).to_csv(folder / "masks.csv", index=False)
    return folder


def run(raw, out, *options):
    options = ("--table=films.csv", "--join=reports.csv", "--workers=1", *options)
    return main(["cxr_table", f"--raw={raw}", f"--out={out}", *options])


def test_tables_of_places_become_masks_by_split(raw, tmp_path):
    out = tmp_path / "out"
    assert run(raw, out, "--boxes=boxes.csv", "--masks=masks.csv") == 0
    assert read_manifest(out)["sets"]["regions"]["labels"] == ["Edema", "Mass"]
    places = {split: read_places(out, split) for split in ("train", "validation", "test")}
    assert {s: {k: list(v) for k, v in p.items()} for s, p in places.items()} == {
        "train": {"Mass": ["0.png"]},
        "validation": {"Edema": ["2.png"]},
        "test": {"Mass": ["3.png"]},
    }
    regions = open_set(out, "regions").splits
    box = regions["train"][places["train"]["Mass"]["0.png"]]["mask"]
    assert box.shape == (20, 30) and (box > 0).sum() == 3 * 2 + 4 * 4
    assert (regions["test"][0]["mask"] > 0).sum() == 1


def test_places_are_found_film_by_film(raw, tmp_path):
    out = tmp_path / "out"
    assert run(raw, out, "--boxes=boxes.csv", "--masks=masks.csv") == 0
    assert placed_labels(out) == ("Edema", "Mass")
    films = np.array(["1.png", "0.png"], object)
    places = open_places(out, "train", "Mass", films)
    assert places.position.tolist() == [1] and places.mask(0).sum() == 3 * 2 + 4 * 4
    assert places.mask(0, (10, 15)).shape == (10, 15)
    none, boxes = read_shares(out, "train", "Mass", films)
    assert none.shape == (0, 4)
    whole = np.array([30, 20, 30, 20])
    np.testing.assert_allclose(boxes * whole, [[0, 0, 3, 2], [20, 10, 4, 4]], rtol=1e-6)
    assert not any(len(film) for film in read_shares(out, "train", "Edema", films))
    with pytest.raises(UserError, match=r"3\.png has a mask of Mass and no boxes"):
        read_shares(out, "test", "Mass", np.array(["3.png"], object))


def test_reports_and_studies_of_another_table_are_joined(raw, tmp_path):
    assert run(raw, tmp_path / "out") == 0
    films = list(open_set(tmp_path / "out", "xray").splits["train"])
    assert [(f["study_id"], f["report"]["findings"]) for f in films] == [(1, "a"), (2, "b")]
    assert read_manifest(tmp_path / "out")["sets"]["xray"]["labels"] == []


@pytest.mark.parametrize(
    ("table", "columns", "expected"),
    [
        ("boxes.csv", {"image": "7.png"}, "names none of the images"),
        ("reports.csv", {"image": "0.png"}, "repeats image"),
        ("reports.csv", {"image": ["7.png", "8.png", "9.png", "x.png"]}, "its first is '7.png'"),
        ("boxes.csv", {"x": "left"}, "'x' is not a number"),
        ("boxes.csv", {"w": "-5"}, "row 2: a box of -5 by"),
    ],
)
def test_a_wrong_table_is_named(raw, tmp_path, table, columns, expected, capsys):
    content = pd.read_csv(raw / table, dtype=str)
    content.assign(**columns).to_csv(raw / table, index=False)
    assert run(raw, tmp_path / "out", "--boxes=boxes.csv") == 1
    message = capsys.readouterr().err
    assert expected in message and table in message


def test_boxes_are_drawn_on_the_size_that_is_told(tmp_path):
    rows = {"dicom_id": ["a"], "category_name": ["Edema"], "x": [0], "y": [0], "w": [2], "h": [1]}
    pd.DataFrame(rows).to_csv(tmp_path / "plain.csv", index=False)
    sized = pd.DataFrame({**rows, "image_width": [6], "image_height": [4]})
    sized.to_csv(tmp_path / "sized.csv", index=False)
    assert read_boxes_table(tmp_path / "plain.csv", 1024)[0].size == (1024, 1024)
    (region,) = read_boxes_table(tmp_path / "sized.csv")
    assert region == Region("a", "Edema", (Box(0, 0, 2, 1),), (4, 6))
    assert draw(region, None).sum() == 2


def test_runs_of_pixels_go_down_the_columns():
    mask = draw(Region("a", "Pneumothorax", size=(3, 4), runs=((2, 2), (11, 1))), None)
    assert np.argwhere(mask).tolist() == [[0, 1], [2, 0], [2, 3]]
