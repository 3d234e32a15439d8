"""Texts, films, pairs, sequences and splits of MedST and MGCA."""

import io
from typing import Any

import numpy as np
import pandas as pd

from medjax.data.captions import clean_prompt
from medjax.data.dicom import scale_by_maximum
from medjax.data.film_sizes import square_canvas
from medjax.data.image_transforms import center_crop, normalise_grey
from medjax.data.mgca_splits import covidx_by_row, rsna_parts, subset
from medjax.data.reports import report_fields
from medjax.systems.medst.data.all_text import all_texts
from medjax.systems.medst.data.pairs import pair_films
from medjax.systems.medst.data.sequences import LENGTH, lay_out, make_chunks
from medjax.text.wordpiece import pad_tokens
from tests.parity.handlers.medst_networks import wordpiece_of
from tests.parity.harness import ALL, Case, handles

HALF = (0.5, 0.5, 0.5)


def table_of(text: Any) -> pd.DataFrame:
    """A CSV file given as text."""
    return pd.read_csv(io.StringIO(str(text)), dtype=str, keep_default_na=False)


@handles("medst", "tokenization", config={"max_length", "runner"})
def tokenization(case: Case) -> dict[str, np.ndarray]:
    wordpiece, length = wordpiece_of(case), case.config["max_length"]
    rows = wordpiece.encode([str(text) for text in case.inputs["texts"]], length)
    counts = np.array([len(row) for row in rows])
    mask = (np.arange(length) < counts[:, None]).astype(np.int64)
    ids = pad_tokens(rows, length, wordpiece.padding)
    return {"input_ids": ids, "token_type_ids": np.zeros_like(ids), "attention_mask": mask}


@handles("medst", "prompt_cleaning", config={"runner"})
def prompt_cleaning(case: Case) -> dict[str, np.ndarray]:
    texts = case.inputs["texts"]
    return {"cleaned": np.array([clean_prompt(str(t), "", keep_decimals=False) for t in texts])}


@handles("medst", "crop_normalize", config={"crop", "runner"})
def crop_normalize(case: Case) -> dict[str, np.ndarray]:
    return {
        name: np.moveaxis(normalise_grey(center_crop(film, case.config["crop"]), HALF, HALF), -1, 0)
        for name, film in case.inputs.items()
    }


@handles("medst", "image_preprocess", config={"imsize", "crop", "runner"}, asserts=ALL)
def image_preprocess(case: Case) -> None:
    """Films may differ by the grey levels of the case's tolerance; integers else must be equal."""
    side = case.config["imsize"]
    for name, reference in case.expected.items():
        kind, _, of = name.partition(":")
        film = case.inputs[of]
        if kind == "dicom":
            film = scale_by_maximum(film)
            film = 255 - film if "mono1" in of else film
        else:
            assert kind == "resized"
        found = square_canvas(film, side)
        assert found.dtype == reference.dtype and found.shape == reference.shape
        worst = np.abs(found.astype(int) - reference).max()
        assert worst <= case.record["atol"], f"{name}: {worst} grey levels"


@handles("medst", "collate", config={"lengths", "runner"})
def collate(case: Case) -> dict[str, np.ndarray]:
    """As published: chunks of four first, lateral films in the order of the batch."""
    inputs = case.inputs
    layout = lay_out(case.config["lengths"], LENGTH, align_laterals=False)
    of_rows = {"imgs": "imgs", "caption_ids": "input_ids"}
    of_rows |= {name: name for name in ("token_type_ids", "attention_mask")}
    outputs = {ours: inputs[theirs][layout.rows] for ours, theirs in of_rows.items()}
    lateral = {"ces": "ces", "index_ce": "lateral"}
    outputs |= {ours: inputs[theirs][layout.lateral] for ours, theirs in lateral.items()}
    return {**outputs, "s_len": np.array((layout.sequence >= 0).sum())}


CODES = {"normal": "0", "pneumonia": "1"}


@handles("medst", "covidx_split", config={"data_pct", "runner"})
def covidx_split(case: Case) -> dict[str, np.ndarray]:
    """Film, class and its code by part."""
    lists = [str(case.inputs[name]).splitlines() for name in ("train_txt", "test_txt")]
    rows = [line.split(" ") for lines in lists for line in lines if line]
    tested = [False] * sum(bool(line) for line in lists[0])
    parts = covidx_by_row([*tested, *[True] * (len(rows) - len(tested))])
    outputs = {}
    for part, positions in zip(("train", "valid", "test"), parts):
        names, classes = (np.array([rows[p][i] for p in positions]) for i in (1, 2))
        outputs |= {f"{part}:filename": names, f"{part}:class": classes}
        outputs[f"{part}:labels"] = np.array([CODES.get(name, "2") for name in classes])
    drawn = subset(len(parts.train), case.config["data_pct"])
    outputs["train_subset_filenames"] = outputs["train:filename"][drawn]
    return outputs


@handles("medst", "rsna_split", config={"runner"})
def rsna_split(case: Case) -> dict[str, np.ndarray]:
    """Patient, boxes (corners) and target by part."""
    table = table_of(case.inputs["labels_csv"])
    boxes: dict[str, list[list[float]]] = {}
    targets: dict[str, str] = {}
    for patient, *box, target in table.itertuples(index=False):
        targets[patient] = target
        boxes.setdefault(patient, [])
        if target == "1":
            x, y, width, height = map(float, box)
            boxes[patient].append([x, y, x + width, y + height])
    patients = sorted(targets)
    outputs = {}
    for part, positions in zip(("train", "valid", "test"), rsna_parts(len(patients))):
        chosen = [patients[p] for p in positions]
        outputs[f"{part}:patientId"] = np.array(chosen)
        outputs[f"{part}:bbox"] = np.array([str(boxes[p]) if boxes[p] else "" for p in chosen])
        outputs[f"{part}:Target"] = np.array([targets[p] for p in chosen])
    return outputs


SECTIONS = ("impression", "findings", "last_paragraph", "comparison")


@handles("medst", "mimic_pipeline", config={"series_len", "runner"})
def mimic_pipeline(case: Case) -> dict[str, np.ndarray]:
    """Reports and tables -> the published tables, as text."""
    reports = {}
    for study, text in zip(case.inputs["studies"], case.inputs["reports"]):
        reports[str(study).split("/")[1]] = report_fields(str(text), "impression")
    studies = sorted(reports)
    outputs: dict[str, Any] = {"sectioned:study": studies}
    outputs |= {f"sectioned:{n}": [reports[s][n] for s in studies] for n in SECTIONS}
    listed = all_texts([(s, reports[s]) for s in studies], clear_short_reports=False)
    outputs["all_text:study_id"], outputs["all_text:content"] = zip(*listed)

    films = table_of(case.inputs["metadata_csv"])
    split = table_of(case.inputs["split_csv"]).set_index("dicom_id")["split"]
    films = films.assign(
        study_id="s" + films["study_id"],
        subject_id="p" + films["subject_id"],
        view=films["ViewPosition"],
        split=films["dicom_id"].map(split).replace("validate", "valid"),
    )
    for name in ("impression", "findings"):
        films[name] = [reports.get(study, {}).get(name, "") for study in films["study_id"]]
    pairs = pair_films(films, keep_decimals=False).table
    table = films.iloc[pairs["frontal"]].reset_index(drop=True)
    folder = [f"{p[:3]}/{p}/{s}/" for p, s in zip(table["subject_id"], table["study_id"])]
    lateral = [films["dicom_id"][row] if row >= 0 else "no_LT" for row in pairs["lateral"]]
    columns: dict[str, Any] = {
        "path1": [f"{f}{d}.jpg" for f, d in zip(folder, table["dicom_id"])],
        "dicom_id_x": table["dicom_id"],
        **{n: table[n] for n in ("subject_id", "study_id")},
        **{n: table[n] for n in ("ViewPosition", "StudyDate", "StudyTime", "split")},
        "dicom_id_y": lateral,
        "path2": [f"{f}{d}.jpg" for f, d in zip(folder, lateral)],
        "content": pairs["caption"],
    }
    outputs |= {f"image_text:{name}": column for name, column in columns.items()}
    outputs["image_text_columns"] = list(columns)
    time = table["StudyDate"].astype(float) * 1e6 + table["StudyTime"].astype(float)
    for part in ("train", "valid"):
        rows = np.flatnonzero(table["split"] == part)
        columns = (table["subject_id"], time, table["study_id"], table["view"])
        of = (column.to_numpy()[rows] for column in columns)
        chunks = make_chunks(*of, "image", case.config["series_len"])
        outputs[f"sequences_{part}"] = [",".join(str(r) for r in rows[c]) for c in chunks]
    return {name: np.array([str(v) for v in values]) for name, values in outputs.items()}
