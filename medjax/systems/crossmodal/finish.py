"""What follows from the rest of a config of the cross-modal autoencoder, and what cannot run."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from medjax.errors import UsageError, nearest
from medjax.metrics.probe_kinds import KINDS
from medjax.run.compat import set_unless_named
from medjax.run.source_name import parse_source
from medjax.systems.crossmodal import published
from medjax.systems.crossmodal.architecture import check_architecture
from medjax.systems.crossmodal.published import TENSOR_MAPS

AXES = {"ecg": 1, "mri": 2}
"""Of a signal, beside its channels."""


def finish(config: ConfigDict, named: frozenset[str]) -> list[str]:
    """Set what follows unless it is among the `named` fields; return warnings.

    Raises:
        UsageError: the fields contradict each other, or the data are not named.
    """
    stages = {name: config[name] for name in config if _is_stage(config[name])}
    if config.compat != "default":
        set_unless_named(config, published.fields(config.compat, stages), named)
    for name, stage in stages.items():
        if stage.kind == "paired":
            set_unless_named(config, starts(name, stage, stages), named)
    if config.size == "published" and config.data.dir is None and config.data.ecg_dir is None:
        raise UsageError(
            "the published recipe: a prepared cohort is needed; make it with `python -m "
            "medjax.prepare ml4h_cohort --raw=... --out=FOLDER` and give --config.data.dir=FOLDER"
        )
    for name in config.stages:
        check_stage(name, config[name])
        check_sources(name, config)
    check_evaluation(config)
    return []


def _is_stage(value: Any) -> bool:
    return isinstance(value, ConfigDict) and "kind" in value


def starts(name: str, stage: ConfigDict, stages: Mapping[str, ConfigDict]) -> dict[str, Any]:
    """Return where a paired stage begins: the parts of the stages before, best or last.

    A unimodal merger that is to be kept comes along, in front of its modality's decoder.
    """
    if not stage.init_from or isinstance(stage.init_from, str):
        return {}
    entries, mergers = [], list(stage.model.mergers)
    for part, text, *rest in stage.init_from:
        source = parse_source(text)
        if stage.saved_parts == "last" and source.name in stages and source.which == "best":
            text = f"{source.name}@last"
        entries.append((part, text, *rest))
        side, _, modality = part.partition("_")
        has_merger = stages.get(source.name, stage).model.get("unimodal_merger", False)
        if side == "decoder" and has_merger and stage.model.fold_merger:
            entries.append((f"merger_{modality}", text))
            mergers += [] if modality in mergers else [modality]
    found = {"init_from": tuple(entries), "model.mergers": tuple(mergers)}
    return {f"{name}.{field}": value for field, value in found.items()}


def check_stage(name: str, stage: ConfigDict) -> None:
    """Raise UsageError for modalities or a merge that no network can be made of."""
    modalities, model = tuple(stage.model.modalities), stage.model
    for modality in (*modalities, *model.get("mergers", ())):
        if modality not in TENSOR_MAPS:
            raise UsageError(
                f"config.{name}.model: {modality!r} is none of {', '.join(TENSOR_MAPS)}"
                + nearest(modality, list(TENSOR_MAPS))
            )
        if modality not in model:
            raise UsageError(f"config.{name}.model has no network for {modality!r}")
        try:
            check_architecture(model[modality], AXES[modality])
        except UsageError as error:
            raise UsageError(f"config.{name}.model.{modality}: {error}") from None
    wanted = {"autoencoder": (1, 1), "paired": (2, 2)}.get(stage.kind, (1, 2))
    if len(set(modalities)) != len(modalities) or not wanted[0] <= len(modalities) <= wanted[1]:
        raise UsageError(
            f"config.{name}.model.modalities is {modalities}: a stage of kind {stage.kind!r} reads "
            f"{wanted[0] if wanted[0] == wanted[1] else '1 or 2'} different ones"
        )
    if len(modalities) == 2:
        check_pair(name, stage)


def check_sources(name: str, config: ConfigDict) -> None:
    """Raise UsageError where a part is to come from a stage whose network is another."""
    entries = config[name].init_from or ()
    for part, text, *_ in () if isinstance(entries, str) else entries:
        source, modality = parse_source(text).name, part.partition("_")[2]
        if source not in config.stages or modality not in config[source].model:
            continue
        ours, theirs = config[name].model[modality], config[source].model[modality]
        for field in theirs:
            if ours[field] != theirs[field]:
                raise UsageError(
                    f"config.{name} takes {part} from stage {source}, whose "
                    f"model.{modality}.{field} is {theirs[field]}, not {ours[field]}: give both "
                    "stages the same"
                )


def check_pair(name: str, stage: ConfigDict) -> None:
    """Raise UsageError where two latents cannot be compared, or joined as asked for."""
    model = stage.model
    widths = {m: model[m].dense_layers[-1] for m in model.modalities}
    if len(set(widths.values())) > 1:
        raise UsageError(
            f"config.{name}.model: the latents are to share a space and their widths differ "
            f"({', '.join(f'{m} {w}' for m, w in widths.items())}): make the last of dense_layers "
            "equal"
        )
    if model.get("merge") in ("concat", "kronecker") and model.merge_eval == "each":
        raise UsageError(
            f"config.{name}.model.merge={model.merge} reads both latents at once: give "
            f"--config.{name}.model.merge_eval=as_training"
        )


def check_evaluation(config: ConfigDict) -> None:
    """Raise UsageError for unknown probes, or too few folds."""
    for kind in config.evaluation.probes:
        if kind not in KINDS:
            raise UsageError(
                f"config.evaluation.probes: {kind!r} is none of {', '.join(KINDS)}"
                + nearest(kind, list(KINDS))
            )
    scored = sorted({split for name in config.stages for split in config[name].train.final_splits})
    for split in config.evaluation.probe_splits:
        if split not in scored:
            raise UsageError(
                f"config.evaluation.probe_splits: {split!r} is none of the stages' final_splits "
                f"({', '.join(scored)}){nearest(split, scored)}"
            )
    if config.evaluation.probe_folds < 2:
        raise UsageError(
            f"config.evaluation.probe_folds is {config.evaluation.probe_folds}: it must be 2 or "
            "more"
        )
