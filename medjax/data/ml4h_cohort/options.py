"""Options of the cross-modal cohort, and the values that the published code gives them."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from medjax.data.arguments import whole_number
from medjax.data.ml4h_cohort.split import SEED, SplitOptions, read_ids
from medjax.data.ml4h_cohort.tensormaps import EcgOptions, MriOptions
from medjax.errors import UsageError

OURS: dict[str, Any] = {
    "ecg_instance": "visit",
    "ecg_missing_lead": "reject",
    "ecg_require_text": "no",
    "mri_anchor": "center",
    "mri_normalize_region": "box",
    "split_rule": "id_hash",
}
PUBLISHED_CURRENT: dict[str, Any] = {
    "ecg_instance": 0,
    "ecg_missing_lead": "reject",
    "ecg_require_text": "yes",
    "mri_anchor": "top_left",
    "mri_normalize_region": "padded",
    "split_rule": "walk_draw",
}
PUBLISHED_2023 = {**PUBLISHED_CURRENT, "ecg_missing_lead": "zeros"}
PRESETS: dict[str, Mapping[str, Any]] = {
    "": OURS,
    "published": PUBLISHED_2023,
    "published_2023": PUBLISHED_2023,
    "published_current": PUBLISHED_CURRENT,
}
LISTS = {"train": "train_csv", "validation": "valid_csv", "test": "test_csv"}
"""Split -> option that names its list."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument(
        "--compat",
        choices=tuple(PRESETS),
        default="",
        help="all options that follow as published, where they are not given (2023: the code of "
        "the paper and its weights)",
    )
    _add_tensor_arguments(parser)
    _add_split_arguments(parser)
    parser.add_argument(
        "--labels", type=Path, help="CSV of phenotypes: an id column, then columns of numbers"
    )
    parser.add_argument("--phenotypes", default="", help="columns of --labels to take: A,B (all)")
    parser.add_argument(
        "--storage", choices=("float32", "float16"), default="float32", help="of the stored MRI"
    )
    parser.add_argument(
        "--max_bad_records",
        type=whole_number(0),
        default=0,
        help="participants with damaged files that are left out before it is an error",
    )


def _add_tensor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ecg_instance",
        type=_instance,
        help=f"number of the examination, or visit: that of the MRI ({OURS['ecg_instance']})",
    )
    parser.add_argument(
        "--ecg_missing_lead", choices=("reject", "zeros"), help="an ECG that lacks a lead (reject)"
    )
    parser.add_argument(
        "--ecg_require_text", choices=("yes", "no"), help="refuse ECGs without a reading (no)"
    )
    parser.add_argument(
        "--drop_poor", action="store_true", help='refuse readings that say "Poor data quality"'
    )
    parser.add_argument(
        "--mri_anchor",
        choices=("center", "top_left"),
        help="where the box of the heart lies (center)",
    )
    parser.add_argument(
        "--mri_normalize_region",
        choices=("box", "padded"),
        help="what z-scores are taken over: the heart's box, or its padding too (box)",
    )
    size = whole_number(1, 4096)
    parser.add_argument("--ecg_samples", type=size, default=600, help="of each lead")
    parser.add_argument("--mri_edge", type=size, default=96, help="pixels of height and width")
    parser.add_argument("--mri_frames", type=size, default=50, help="frames of the cycle")


def _add_split_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--split_rule",
        choices=("id_hash", "walk_draw"),
        help="of participants in no list: hash of the id, or a draw a file (id_hash)",
    )
    parser.add_argument("--valid_ratio", type=_ratio, default=0.1, help="of the validation split")
    parser.add_argument("--test_ratio", type=_ratio, default=0.1, help="of the test split")
    parser.add_argument(
        "--random_seed", type=whole_number(0, 2**32 - 1), default=SEED, help="of walk_draw"
    )
    for split, option in LISTS.items():
        parser.add_argument(f"--{option}", type=Path, help=f"ids of the {split} split")
    parser.add_argument("--sample_csv", type=Path, help="ids to take, no others")
    parser.add_argument("--exclude_csv", type=Path, help="ids to leave out, as withdrawn consents")


def _instance(text: str) -> Literal["visit"] | int:
    return "visit" if text == "visit" else whole_number(0)(text)


def _ratio(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expects a share from 0 to below 1, not {text!r}")
    return value


def chosen(args: argparse.Namespace) -> dict[str, Any]:
    """Return the value of every option of a preset: the one given, else that of `--compat`."""
    preset = PRESETS[args.compat]
    given = {name: getattr(args, name) for name in preset}
    return {name: preset[name] if given[name] is None else given[name] for name in preset}


def tensor_options(args: argparse.Namespace) -> tuple[EcgOptions, MriOptions]:
    """Return how ECG and MRI are read."""
    fields = chosen(args)
    ecg = EcgOptions(
        fields["ecg_instance"],
        fields["ecg_missing_lead"],
        fields["ecg_require_text"] == "yes",
        args.drop_poor,
        args.ecg_samples,
    )
    mri = MriOptions(
        fields["mri_anchor"],
        fields["mri_normalize_region"],
        args.mri_edge,
        args.mri_edge,
        args.mri_frames,
    )
    return ecg, mri


def split_options(args: argparse.Namespace) -> tuple[SplitOptions, dict[str, frozenset[str]]]:
    """Return how participants are split, and the lists that were given.

    Raises:
        UsageError: --split=hash beside lists or the published draw.
        UserError: a list that cannot be read.
    """
    rule = chosen(args)["split_rule"]
    paths = {split: getattr(args, option) for split, option in LISTS.items()}
    paths = {split: path for split, path in paths.items() if path is not None}
    if args.split == "hash":
        if paths or args.split_rule == "walk_draw":
            raise UsageError("--split=hash leaves no room for lists of splits or walk_draw")
        rule = "id_hash"
    options = SplitOptions(rule, args.valid_ratio, args.test_ratio, args.random_seed)
    return options, {split: read_ids(path) for split, path in paths.items()}


def input_tables(args: argparse.Namespace) -> dict[str, Path]:
    """Return the tables that were named, for the digests of the manifest."""
    names = (*LISTS.values(), "sample_csv", "exclude_csv", "labels")
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}
