"""Values of a config that no run can use: found before anything is written."""

from collections.abc import Callable

from ml_collections import ConfigDict

from medjax.errors import UsageError, nearest

AT_LEAST_ONE = (
    "epochs",
    "global_batch_size",
    "evaluation_batch_size",
    "accumulation",
    "evaluate_every",
    "log_every",
)
NOT_NEGATIVE = ("patience", "save_every")


def check_values(config: ConfigDict) -> None:
    """Raise UsageError for the first value that no run can use, naming its field."""
    if "stages" in config and not config.stages:
        raise UsageError("config.stages is empty: name at least one stage")
    _check_replicas(config)
    for stage in config.get("stages", ()):
        if stage not in config:
            continue
        train = config[stage].get("train", {})
        check = _checker(train, f"config.{stage}.train")
        for name in AT_LEAST_ONE:
            check(name, lambda value: value >= 1, "be at least 1")
        for name in NOT_NEGATIVE:
            check(name, lambda value: value >= 0, "not be negative")
        if train and train.get("global_batch_size", 1) % train.get("accumulation", 1):
            raise UsageError(
                f"config.{stage}.train.accumulation is {train.accumulation}: it must divide "
                f"global_batch_size, which is {train.global_batch_size}"
            )
        rate = _checker(config[stage].get("optimizer", {}), f"config.{stage}.optimizer")
        rate("learning_rate", lambda value: value > 0, "be above 0")
        model = _checker(config[stage].get("model", {}), f"config.{stage}.model")
        model("dropout", lambda value: 0 <= value < 1, "be at least 0 and below 1")
    evaluation = _checker(config.get("evaluation", {}), "config.evaluation")
    evaluation("resamples", lambda value: value >= 0, "not be negative")
    loader = _checker(config.get("loader", {}), "config.loader")
    loader("threads", lambda value: value >= 1, "be at least 1")
    loader("workers", lambda value: value >= 0, "not be negative")


def _check_replicas(config: ConfigDict) -> None:
    """Raise UsageError for copies that cannot be told apart, or that the system cannot have."""
    options = config.get("replicas", {})
    seeds, folds = options.get("seeds", ()), options.get("folds", 0)
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise UsageError(f"config.replicas.seeds: {seed!r} is no whole number from 0 on")
    known = ("loop", "vmap", "auto")
    if options.get("run", "loop") not in known:
        raise UsageError(
            f"config.replicas.run {options.run!r} is none of {', '.join(known)}"
            + nearest(options.run, known)
        )
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"config.replicas.seeds names a seed twice: {', '.join(map(str, seeds))}")
    if folds < 0 or folds == 1:
        raise UsageError(f"config.replicas.folds is {folds}: it must be 0 or at least 2")
    for stage in options.get("stages", ()):
        if stage not in config.stages:
            raise UsageError(
                f"config.replicas.stages names {stage!r}, which is none of config.stages: "
                f"{', '.join(config.stages)}{nearest(stage, config.stages)}"
            )
    if folds and "fold" not in config:
        raise UsageError(f"config.replicas.folds is {folds}: {config.system} knows no folds")


def _checker(section: ConfigDict, place: str) -> Callable[[str, Callable, str], None]:
    """Return a function that checks one field of a section, where the section has it."""

    def check(name: str, holds: Callable, rule: str) -> None:
        if name in section and not holds(section[name]):
            raise UsageError(f"{place}.{name} is {section[name]}: it must {rule}")

    return check
