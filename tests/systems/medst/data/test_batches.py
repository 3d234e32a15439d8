"""What pre-training reads: pairs, sequences and captions of prepared films, and batches of them."""

from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.data.batching import EVALUATION
from medjax.data.demo.progression import FIRST_SUBJECT, draw_patient
from medjax.data.demo.progression_report import CLEAR
from medjax.data.ms_cxr_t import FINDINGS
from medjax.errors import UserError
from medjax.prepare import main
from medjax.systems.medst.data.batches import Batches, Options
from medjax.systems.medst.data.films import DataOptions, open_medst
from medjax.systems.medst.data.labelled import FilmBatches, LabelRules, _known, open_labelled
from medjax.systems.medst.data.packing import Room, arrange, pack, surely_full
from medjax.systems.medst.data.pairs import FRONTAL, LATERAL, NONE
from medjax.systems.medst.data.sequences import lay_out
from medjax.systems.medst.data.temporal_pairs import PairBatches, open_sentences, open_temporal
from medjax.systems.medst.data.texts import TextReader, open_wordpiece
from medjax.systems.medst.data.views import ViewOptions, evaluation_view, training_view
from medjax.systems.medst.demo import prepare_demo
from medjax.systems.medst.tasks.sentence_similarity import read_sentences
from medjax.systems.medst.tasks.temporal_images import CODES, read_pairs

SMALL = ViewOptions(canvas=40, size=32)
ROOM = Room(rows=12, places=6)
NOTHING = tuple(sentence.lower().rstrip(".") for sentence in CLEAR)
"""What captions say of films that show nothing."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    options = {"patients": 40, "rsna": 20, "covidx": 20, "seed": 2, "width": 40}
    where, names = tmp_path_factory.mktemp("demo"), ("films", "ms_cxr_t", "rsna", "covidx")
    made = {name: prepare_demo(where, ConfigDict(options), name) for name in names}
    return SimpleNamespace(**made)


@pytest.fixture(scope="module")
def data(folders):
    return open_medst(folders.films, invented=True)


@pytest.fixture(scope="module")
def tokens(data):
    return TextReader(open_wordpiece(None, data.texts("train")), 48).read(data.captions)


def batches(data, tokens, train=ROOM, evaluation=ROOM, **options):
    return Batches(data, tokens, Options(train, evaluation, SMALL, **options), seed=3)


def test_patients_stay_in_one_split(data, folders):
    for splits in (
        [films.subject_id for films in data.splits.values()],
        [films.subject_id for films in open_labelled(folders.rsna).splits.values()],
        [films.subject_id for films in open_labelled(folders.covidx).splits.values()],
        [pairs.subject_id for pairs in open_temporal(folders.ms_cxr_t).splits.values()],
    ):
        subjects = [set(of.tolist()) for of in splits]
        assert len(subjects) > 1 and sum(map(len, subjects)) == len(set.union(*subjects))
    of = {s: split for split, films in data.splits.items() for s in films.subject_id}
    for split, pairs in open_temporal(folders.ms_cxr_t).splits.items():
        assert all(of.get(subject, split) == split for subject in pairs.subject_id)


def test_films_laterals_and_captions_are_of_one_study(data, folders):
    labelled = open_labelled(folders.films)
    for split, films in data.splits.items():
        store = labelled.splits[split]
        assert (store.dicom_id[films.frontal] == films.dicom_id).all()
        assert set(store.view[films.frontal]) <= set(FRONTAL)
        there = films.lateral != NONE
        assert 0.2 < there.mean() < 0.9
        assert set(store.view[films.lateral[there]]) <= set(LATERAL)
        assert (store.study_id[films.lateral[there]] == films.study_id[there]).all()
        for row in range(len(films.frontal)):
            patient = draw_patient(films.subject_id[row] - FIRST_SUBJECT, 2)
            visit = patient.study_ids.index(films.study_id[row])
            levels = [track.levels[visit] for track in patient.tracks]
            caption = data.captions[films.caption[row]]
            if not any(level for track in patient.tracks for level in track.levels):
                assert any(words in caption for words in ("clear", *NOTHING))
            if visit == 0 and any(levels):
                assert "new" not in caption and "resolved" not in caption


def test_sequences_follow_time_and_visits_before_are_before(data):
    longer = 0
    for films in data.splits.values():
        assert sorted(np.concatenate(films.chunks)) == list(range(len(films.frontal)))
        for rows in films.chunks:
            assert len(set(films.subject_id[rows])) == 1
            assert (np.diff(films.study_time[rows]) > 0).all()
            assert len(set(films.study_id[rows])) == len(rows)
            longer += len(rows) > 1
        for row, prior in enumerate(films.prior):
            same = films.subject_id == films.subject_id[row]
            earlier = same & (films.study_time < films.study_time[row])
            if prior == NONE:
                assert not earlier.any()
            else:
                assert films.study_time[prior] == films.study_time[earlier].max()
                assert films.study_id[prior] != films.study_id[row] and same[prior]
    assert longer > 10


def test_published_chunks_are_of_images(folders):
    data = open_medst(folders.films, DataOptions(sequence_unit="image", keep_decimals=False))
    studies = [films.study_id[rows] for films in data.splits.values() for rows in films.chunks]
    assert any(len(set(ids)) < len(ids) for ids in studies)
    assert all(len(ids) <= 4 for ids in studies)
    with pytest.raises(UserError, match="sequence_unit"):
        open_medst(folders.films, DataOptions(sequence_unit="visit"))


def test_smaller_shares_of_the_chunks_lie_inside_larger_ones(folders, data):
    few, more = (open_medst(folders.films, DataOptions(fraction=f)).splits for f in (0.1, 0.5))
    inner, outer = ({tuple(rows) for rows in splits["train"].chunks} for splits in (few, more))
    assert inner < outer and len(outer) == round(0.5 * len(data.splits["train"].chunks))
    assert len(few["test"].chunks) == len(data.splits["test"].chunks)


def test_films_without_time_or_study_are_no_sequences(tmp_path, folders):
    lines = ["image,patient,view,findings"]
    images = sorted((folders.rsna.parent.parent / "raw" / "rsna").rglob("*.png"))[:6]
    views = ("PA", "LATERAL", "PA", "PA", "PA", "PA")
    lines += [f"{p.relative_to(images[0].parent)},1,{v},The lungs are clear." for p, v in
              zip(images, views)]  # fmt: skip
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    arguments = (f"--raw={tmp_path}", f"--out={out}", f"--images={images[0].parent}")
    assert main(["cxr_table", *arguments, "--workers=1"]) == 0
    (films,) = (f for f in open_medst(out).splits.values() if len(f.frontal))
    assert len(films.frontal) == 5 and (films.lateral == NONE).all() and (films.prior == NONE).all()
    assert [len(rows) for rows in films.chunks] == [1] * 5
    assert len(set(films.study_id)) == 5
    with pytest.raises(UserError, match="--reports"):
        open_medst(folders.rsna)


def test_packing_holds_every_chunk_once_within_its_limits():
    rng = np.random.default_rng(0)
    for _ in range(200):
        lengths = rng.integers(1, 5, rng.integers(0, 60)).tolist()
        laterals = [int(rng.integers(n + 1)) for n in lengths]
        room = Room(int(rng.integers(4, 20)), 0, int(rng.integers(0, 6)))
        room = room._replace(places=int(rng.integers(4, room.rows + 1)))
        found = pack(lengths, laterals, room)
        assert [i for s in found for i in range(s.start, s.stop)] == list(range(len(lengths)))
        for s in found:
            assert sum(lengths[s]) <= room.rows and sum(laterals[s]) <= room.places
            assert not room.chunks or s.stop - s.start <= room.chunks
        if lengths:
            assert 1 <= surely_full(lengths, laterals, room) <= len(found)


def test_films_with_a_lateral_lead_every_part():
    rng = np.random.default_rng(0)
    for _ in range(200):
        parts, per = int(rng.integers(1, 5)), int(rng.integers(2, 8))
        places = parts * int(rng.integers(0, per + 1))
        has = np.zeros(rng.integers(0, parts * per + 1), bool)
        has[: min(places, len(has), rng.integers(0, places + 1))] = True
        has = rng.permutation(has)
        slots = arrange(has, Room(parts * per, places), parts)
        assert sorted(slots[slots >= 0]) == list(range(len(has)))
        of_parts = slots.reshape(parts, per)
        leading = of_parts[:, : places // parts]
        assert has[leading[leading >= 0]].sum() == has.sum()
        counts = (of_parts >= 0).sum(1)
        assert counts.max() - counts.min() <= 1
        assert all((row[:n] >= 0).all() for row, n in zip(of_parts, counts))
        ordered = has[slots[slots >= 0]]
        again = arrange(ordered, Room(parts * per, places), parts)
        assert again[again >= 0].tolist() == list(range(len(has)))


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_batch_holds_whole_chunks_with_their_laterals_and_captions(data, tokens, parts):
    maker = batches(data, tokens, parts=parts, prior=True)
    films = data.splits["train"]
    for plan in maker.plan("train", 0)[:4]:
        batch = maker.collate("train", 0, plan, slice(0, 12))
        valid = np.flatnonzero(batch["mask"])
        assert len(valid) == len(plan.indices)
        lateral = np.full(12, NONE)
        first = (np.arange(parts)[:, None] * (12 // parts) + np.arange(6 // parts)).ravel()
        lateral[first[batch["has_lateral"]]] = 1
        for row, film in zip(valid, plan.indices):
            assert (lateral[row] != NONE) == (films.lateral[film] != NONE)
            assert (batch["caption_ids"][row] == tokens.ids[films.caption[film]]).all()
            (chunk,) = (rows for rows in films.chunks if film in rows)
            together = {int(plan.indices[np.searchsorted(valid, r)]) for r in valid
                        if batch["sequence"][r] == batch["sequence"][row]}  # fmt: skip
            if len(chunk) > 1:
                assert together == set(chunk.tolist())
                assert chunk[batch["step"][row]] == film
            else:
                assert batch["sequence"][row] == -1
            same = films.study_id[plan.indices] == films.study_id[film]
            assert ((batch["study"][valid] == batch["study"][row]) == same).all()
            assert batch["has_prior"][row] == (films.prior[film] != NONE)
        empty = ~batch["mask"]
        assert (batch["image"][empty] == 0).all() and (batch["sequence"][empty] == -1).all()
        assert (batch["caption_words"][empty] == -1).all() and not batch["has_prior"][empty].any()
        assert (batch["lateral"][~batch["has_lateral"]] == 0).all()
    plan = maker.plan("test", EVALUATION)[0]
    batch, films = maker.collate("test", EVALUATION, plan, slice(0, 12)), data.splits["test"]
    shown = films.records[int(films.frontal[plan.indices[0]])]["image"]
    assert (batch["image"][0] == evaluation_view(shown, SMALL)).all()


def test_rows_of_hosts_join_to_the_whole_batch(data, tokens):
    maker = batches(data, tokens, parts=2, prior=True)
    plan = maker.plan("train", 1)[0]
    whole = maker.collate("train", 1, plan, slice(0, 12))
    halves = [maker.collate("train", 1, plan, rows) for rows in (slice(0, 6), slice(6, 12))]
    for name, array in whole.items():
        assert (np.concatenate([half[name] for half in halves]) == array).all(), name
    again = maker.collate("train", 1, plan, slice(0, 12))
    assert all((again[name] == array).all() for name, array in whole.items())
    other = maker.collate("train", 2, plan, slice(0, 12))
    assert (other["image"] != whole["image"]).any()


def test_epochs_have_as_many_batches_and_evaluation_sees_every_film(data, tokens):
    maker = batches(data, tokens)
    counts = {len(maker.plan("train", epoch)) for epoch in range(6)}
    assert len(counts) == 1 and counts.pop() > 3
    orders = [np.concatenate([p.indices for p in maker.plan("train", e)]) for e in (0, 1)]
    assert orders[0].tolist() != orders[1].tolist()
    for split, films in data.splits.items():
        seen = np.concatenate([p.indices for p in maker.plan(split, EVALUATION)])
        assert sorted(seen) == list(range(len(films.frontal)))
    published = batches(data, tokens, validation_drop_last=True)
    last = [len(m.plan("validation", EVALUATION)) for m in (published, maker)]
    assert last[0] <= last[1]


def test_batches_of_one_view_and_of_a_place_in_every_row(data, tokens):
    one = batches(data, tokens, Room(12, 0), Room(12, 0))
    batch = one.collate("train", 0, one.plan("train", 0)[0], slice(0, 12))
    assert "lateral" not in batch
    every = batches(data, tokens, Room(12, 12), Room(12, 12))
    plan = every.plan("train", 0)[0]
    batch = every.collate("train", 0, plan, slice(0, 12))
    there = data.splits["train"].lateral[plan.indices] != NONE
    assert (batch["has_lateral"][: len(there)] == there).all() and len(batch["lateral"]) == 12


def test_published_laterals_keep_the_order_of_the_chunks(data, tokens):
    room = Room(40, 40, chunks=10)
    maker = batches(data, tokens, room, room, align_laterals=False, shortest_sequence=4)
    films = data.splits["train"]
    number = np.zeros(len(films.frontal), int)
    for i, rows in enumerate(films.chunks):
        number[rows] = i
    moved = 0
    for epoch in (0, 1):
        plan = maker.plan("train", epoch)[0]
        batch = maker.collate("train", epoch, plan, slice(0, 40))
        keys = maker._keys("train", epoch)
        chosen = sorted(set(number[plan.indices]), key=lambda i: keys[i])
        assert len(chosen) == 10
        joined = np.concatenate([films.chunks[i] for i in chosen])
        layout = lay_out([len(films.chunks[i]) for i in chosen], 4, align_laterals=False)
        assert (joined[layout.rows] == plan.indices).all()
        expected = films.lateral[joined[layout.lateral]] != NONE
        assert (batch["has_lateral"][: len(joined)] == expected).all()
        moved += (layout.rows != layout.lateral).any()
    assert moved
    with pytest.raises(UserError, match="align_laterals"):
        batches(data, tokens, align_laterals=False)


def test_rooms_that_are_too_small_are_refused(data, tokens):
    with pytest.raises(UserError, match="equal parts"):
        batches(data, tokens, parts=5)
    with pytest.raises(UserError, match="enlarge the batch"):
        batches(data, tokens, Room(3, 0))
    with pytest.raises(UserError, match="enlarge the batch"):
        batches(data, tokens, Room(12, 1))


def test_texts_become_words_of_pieces(data):
    reader = TextReader(open_wordpiece(None, data.texts("train")), 12)
    table = reader.read(["stable pneumothorax", "xyz", "a " * 40])
    assert table.ids.shape == table.words.shape == (3, 12)
    assert table.words[0, :5].tolist() == [0, 1, 2, 3, -1] and table.mask[0].sum() == 4
    assert table.words[1, :6].tolist() == [0, 1, 1, 1, 2, -1]
    assert table.mask[2].all() and table.words[2].tolist() == list(range(12))
    again = TextReader(open_wordpiece(None, data.texts("train")), 12)
    assert again.vocabulary == reader.vocabulary
    assert [reader.wordpiece.ids[token] for token in reader.vocabulary] == list(
        range(len(reader.vocabulary))
    )


def test_training_views_move_and_evaluation_views_show_the_middle():
    film = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30).astype(np.uint8)
    views = {training_view(film, SMALL, np.random.default_rng(i)).tobytes() for i in range(40)}
    assert len(views) > 20
    middle = evaluation_view(film, SMALL)[..., 0]
    assert middle.shape == (32, 32) and (middle[:, 1:31] == film[4:36]).all()


def test_batches_of_pairs_and_the_released_tables(folders):
    temporal = open_temporal(folders.ms_cxr_t)
    pairs = read_pairs(temporal.table())
    total = sum(len(found.label) for found in pairs.values())
    known = sum((of.labels >= 0).sum() for of in temporal.splits.values())
    assert total == known > 0 and tuple(pairs) == FINDINGS
    assert set(CODES.values()) == {0, 1, 2}
    maker = PairBatches(temporal, SMALL, 4, 4, seed=0)
    plan = maker.plan("train", 0)[0]
    batch = maker.collate("train", 0, plan, slice(0, 4))
    assert batch["image"].shape == batch["prior"].shape == (4, 32, 32, 1)
    of = temporal.splits["train"]
    labels = of.labels[plan.indices]
    assert (batch["known"] == (labels >= 0)).all() and batch["labels"].min() >= 0
    last = maker.plan("test", EVALUATION)[-1]
    batch = maker.collate("test", EVALUATION, last, slice(0, 4))
    assert batch["mask"].sum() == len(last.indices) == batch["has_prior"].sum()
    store, films = temporal.films.splits["test"], temporal.splits["test"]
    first = store.records[int(films.prior[last.indices[0]])]["image"]
    assert (batch["prior"][0] == evaluation_view(first, SMALL)).all()
    assert store.dicom_id[films.current[0]] == films.dicom_id[0]
    sentences = read_sentences(open_sentences(folders.ms_cxr_t))
    assert 0.3 < sentences.same.mean() < 0.7 and len(sentences.first) > 50
    with pytest.raises(UserError, match="temporal_images"):
        open_temporal(folders.rsna)


def test_batches_of_labelled_films(folders):
    films = open_labelled(folders.covidx)
    assert films.names == ("normal", "pneumonia", "COVID-19")
    maker = FilmBatches(films, SMALL, 4, 4, 0, {"train": np.array([1, 3, 2])})
    plan = maker.plan("train", 0)[0]
    batch = maker.collate("train", 0, plan, slice(0, 4))
    assert sorted(plan.indices) == [1, 2, 3] and batch["mask"].tolist() == [True] * 3 + [False]
    assert (batch["labels"][:3].sum(1) == 1).all() and not batch["known"][3].any()
    whole = maker.plan("test", EVALUATION)
    assert sum(len(p.indices) for p in whole) == len(films.splits["test"].dicom_id)
    codes = np.array([[1, -1, -1, -2, 0]], np.int8)
    rules = LabelRules({"b": 1.0}, np.nan)
    found = _known(codes, tuple("abcde"), rules)[0]
    assert found[[0, 1, 4]].tolist() == [1, 1, 0] and np.isnan(found[[2, 3]]).all()
