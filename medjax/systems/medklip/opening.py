"""Opening what a run reads: prepared films with triplets, and what is known of texts."""

from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from medjax.data.image_transforms import Crop
from medjax.data.randaugment import RandAugment
from medjax.systems.medklip.batches import Batches, Options, Targets
from medjax.systems.medklip.books import Texts
from medjax.systems.medklip.data import Data, open_klip
from medjax.systems.medklip.demo import prepare_demo
from medjax.systems.medklip.views import ViewOptions


class Opened(NamedTuple):
    """Everything that a stage may read."""

    films: Data
    texts: Texts


def open_data(config: ConfigDict, workdir: Path) -> Opened:
    """Open the prepared sets that `config.data` names; the demo's where it names none."""
    options = config.data
    invented = options.dir is None
    triplets: Path | None
    if invented:
        xray, triplets = prepare_demo(workdir / "demo", options.demo)
    else:
        xray = Path(options.dir)
        triplets = Path(options.triplets_dir) if options.triplets_dir else None
    films = open_klip(xray, triplets, sections=options.report_sections, invented=invented)
    reports = films.texts("train") if "train" in films.splits else []
    return Opened(films, Texts(workdir / "text", tuple(dict.fromkeys(reports))))


def view_options(config: ConfigDict) -> ViewOptions:
    """Return how films are shown."""
    image = config.data.image
    augment = None
    if image.augment_operations:
        augment = RandAugment(
            image.augment_operations,
            image.augment_level,
            sharpness_overflow=image.sharpness_overflow,
            autocontrast_offset=image.autocontrast_offset,
            luma_channel_order=image.luma_channel_order,
        )
    crop = Crop(image.crop_area) if image.crop_area[0] < 1 else None
    return ViewOptions(image.size, crop, image.flip, augment)


def stage_batches(
    config: ConfigDict,
    stage: ConfigDict,
    films: Data,
    targets: Targets,
    region: str = "",
    subset: dict | None = None,
) -> Batches:
    """Return the batches of a stage."""
    train = stage.train
    view = view_options(config)
    if targets == "region":  # What moves the pixels would not move the mask.
        view = view._replace(augment=None)
    options = Options(
        train.get("global_batch_size", train.evaluation_batch_size),
        train.evaluation_batch_size,
        view,
        targets,
        region,
        config.data.uncertain_label,
        config.data.position_candidates,
        train.get("validation_transform", "evaluation"),
        train.get("validation_shuffle", False),
        train.get("validation_drop_last", False),
    )
    return Batches(films, options, config.seed, subset)
