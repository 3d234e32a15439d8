"""Opening what a run reads: films with reports, and the sets of the downstream tasks."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from medjax.data.manifest import MANIFEST, read_manifest
from medjax.errors import UserError
from medjax.run.init_from import Place, find_source, read_artefacts
from medjax.run.source_name import parse_source
from medjax.systems.medst.data.batches import Batches, Options
from medjax.systems.medst.data.films import Data, DataOptions, open_medst
from medjax.systems.medst.data.labelled import (
    FilmBatches,
    Labelled,
    LabelledFilms,
    LabelRules,
    open_labelled,
)
from medjax.systems.medst.data.packing import Room
from medjax.systems.medst.data.temporal_pairs import (
    PairBatches,
    Temporal,
    open_sentences,
    open_temporal,
)
from medjax.systems.medst.data.texts import TextReader, open_wordpiece
from medjax.systems.medst.data.views import Augment, ViewOptions
from medjax.systems.medst.demo import COLLECTIONS, FILMS, MS_CXR_T, prepare_demo
from medjax.systems.medst.starts import text_source
from medjax.text.wordpiece import make_wordpiece

ALL = "all"
"""The split of a task that is scored over everything there is."""
SOURCES = {FILMS: "mimic_cxr", MS_CXR_T: MS_CXR_T, **{name: name for name in COLLECTIONS}}
"""Set -> the source that prepares it; `data.<set>_dir` names its folder, `data.dir` the films."""
PREPARED_WITH = {
    "ms_cxr_t": " --images=MIMIC_CXR_JPG --films=PREPARED_MIMIC_CXR",
    "rsna": " --mgca_split",
    "chexpert": " --frontal --mgca_split=patient",
}
"""Set -> options of its preparation."""
SHOWN = {"rsna": "RSNA", "covidx": "COVIDx", "siim": "SIIM", "chexpert": "CheXpert"}
"""How pictures write the names of sets."""
READ_BY = {
    "pretrain": FILMS,
    "temporal_images": MS_CXR_T,
    "temporal_sentences": MS_CXR_T,
    "pairwise": MS_CXR_T,
}
"""Kind of stage -> the set that it reads, for those that do not say it in `films`."""


class Opened:
    """Everything that a stage may read; each set is opened when a stage first asks for it."""

    def __init__(self, config: ConfigDict, workdir: Path) -> None:
        """Find the folders of what the run's stages read; where none is named, the demo's.

        Raises:
            UserError: a folder is not named and the run is no demo, or holds another source.
        """
        self.options = config.data
        self.invented = config.data.dir is None and config.size != "published"
        self._demo = workdir / "demo"
        self._folders: dict[str, Path] = {}
        for name in SOURCES:
            given = config.data[field_of(name)]
            if given is not None:
                self._folders[name] = Path(given)
                check_source(name, Path(given))
        for stage in config.stages:
            self.folder(config[stage].get("films") or READ_BY[config[stage].kind], stage)

    def folder(self, name: str, stage: str = "") -> Path:
        """Return the folder of a set of SOURCES, which a stage reads.

        Raises:
            UserError: it is not named.
        """
        if name not in self._folders and self.invented:
            self._folders[name] = prepare_demo(self._demo, self.options.demo, name)
        if name not in self._folders:
            raise UserError(
                f"stage {stage} reads {name}: make it with `python -m medjax.prepare "
                f"{SOURCES[name]} --raw=... --out=FOLDER --sizes=long256"
                f"{PREPARED_WITH.get(name, '')}` and give --config.data.{field_of(name)}=FOLDER"
            )
        return self._folders[name]

    @cached_property
    def films(self) -> Data:
        """Films with their captions, in sequences."""
        data = self.options
        options = DataOptions(
            data.sequence_unit, data.series_length, data.keep_decimals, data.fraction
        )
        return open_medst(self.folder(FILMS), options, self.invented)

    @cached_property
    def temporal(self) -> Temporal:
        """MS-CXR-T's pairs of films."""
        return open_temporal(self.folder("ms_cxr_t"))

    @cached_property
    def sentences(self) -> pd.DataFrame:
        """MS-CXR-T's pairs of sentences."""
        return open_sentences(self.folder("ms_cxr_t"))

    @cached_property
    def _labelled(self) -> dict[tuple, Labelled]:
        return {}

    def labelled(self, name: str, rules: LabelRules | None = None) -> Labelled:
        """Return a set of films with labels, uncertain ones as the rules say; None: left out."""
        key = (name, *sorted(rules.uncertain.items() if rules else ()))
        if key not in self._labelled:
            self._labelled[key] = open_labelled(self.folder(name), rules)
        return self._labelled[key]

    @cached_property
    def captions(self) -> list[str]:
        """The captions of the training films, [] where there are none."""
        named = FILMS in self._folders or self.invented
        if not named or "train" not in self.films.splits:
            return []
        return self.films.texts("train")


def check_source(name: str, folder: Path) -> None:
    """Raise UserError where a task's set is prepared from another source.

    Films with reports may come from any.
    """
    if name == FILMS or not (folder / MANIFEST).is_file():
        return  # of what is not prepared the opening tells
    source = read_manifest(folder).get("source")
    if source != SOURCES[name]:
        raise UserError(
            f"--config.data.{field_of(name)}={folder}: it is prepared from {source}; give the "
            f"--out of `python -m medjax.prepare {SOURCES[name]}`"
        )


def field_of(name: str) -> str:
    """Return the field of `config.data` that names the folder of a set."""
    return "dir" if name == FILMS else f"{name}_dir"


def open_data(config: ConfigDict, workdir: Path) -> Opened:
    """Open the prepared sets that `config.data` names; the demo's where it names none."""
    return Opened(config, workdir)


def text_reader(
    config: ConfigDict, stage: ConfigDict, data: Opened, artefacts: Mapping[str, Any] | None
) -> TextReader:
    """Return what turns a stage's texts into tokens.

    The vocabulary is that of the weights that the stage starts from, where they bring one, else
    that of `text.bert_dir`, else one that is made of the training captions.

    Raises:
        UserError: there is no vocabulary.
    """
    known = (artefacts or carried(stage.init_from)).get("vocabulary")
    if known:
        wordpiece = make_wordpiece(known)
    elif config.text.bert_dir is not None:
        wordpiece = open_wordpiece(Path(config.text.bert_dir), ())
    elif data.captions:
        wordpiece = open_wordpiece(None, data.captions)
    else:
        raise UserError(
            "texts are read by word pieces and there is no vocabulary: give "
            "--config.text.bert_dir=FOLDER (of Bio_ClinicalBERT for published weights)"
        )
    return TextReader(wordpiece, config.data.max_tokens, stage.model.word_aggregation)


def carried(init_from: Any) -> dict[str, Any]:
    """Return what stands beside another run's weights of texts, {} for a stage of this one."""
    source = text_source(init_from)
    if not source or not Path(parse_source(source).name).is_dir():
        return {}
    name = Path(parse_source(source).name).name
    return read_artefacts(find_source(source, Place(Path(), (), name)))


def view_options(config: ConfigDict) -> ViewOptions:
    """Return how films are shown."""
    return ViewOptions(config.data.image.canvas, config.data.image.crop)


def pretraining_batches(
    config: ConfigDict, stage: ConfigDict, data: Opened, reader: TextReader
) -> Batches:
    """Return the batches of pre-training."""
    train, films = stage.train, data.films
    share = train.lateral_share if stage.model.method == "medst" else 0.0
    parts = stage.model.groups

    def room(rows: int, chunks: int) -> Room:
        return Room(rows, round(share * rows / parts) * parts, chunks)

    options = Options(
        train=room(train.global_batch_size, train.chunks),
        evaluation=room(train.evaluation_batch_size, train.chunks),
        view=view_options(config),
        parts=parts,
        shortest_sequence=config.data.shortest_sequence,
        align_laterals=config.data.align_laterals,
        validation_drop_last=train.validation_drop_last,
    )
    return Batches(films, reader.read(films.captions), options, config.seed)


def film_batches(
    config: ConfigDict,
    stage: ConfigDict,
    films: Labelled,
    subset: Mapping[str, np.ndarray] | None = None,
) -> FilmBatches:
    """Return the batches of a stage that reads films one by one."""
    view, options = view_options(config), stage.train.get("augment")
    if options is not None and (augment := Augment(**options)).changes:
        view = view._replace(augment=augment)
    return FilmBatches(films, view, *sizes_of(stage), config.seed, subset)


def pair_batches(config: ConfigDict, stage: ConfigDict, data: Opened) -> PairBatches:
    """Return the batches of a stage that reads pairs of films of a patient."""
    return PairBatches(data.temporal, view_options(config), *sizes_of(stage), config.seed)


def sizes_of(stage: ConfigDict) -> tuple[int, int]:
    """Return the rows of a batch in training and in evaluation."""
    size = stage.train.evaluation_batch_size
    return stage.train.get("global_batch_size", size), size


class Joined(Sequence):
    """Sequences end to end, without copying them."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: Any) -> Any:
        part = int(np.searchsorted(self._ends, index, side="right"))
        start = int(self._ends[part - 1]) if part else 0
        return self._parts[part][int(index) - start]


def all_films(films: Labelled) -> Labelled:
    """Return the films of all splits as one split, ALL."""
    parts = list(films.splits.values())
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in LabelledFilms._fields
        if name != "records"
    }
    joined = LabelledFilms(Joined([part.records for part in parts]), **columns)
    return films._replace(splits={ALL: joined})
