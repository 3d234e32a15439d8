"""MedFuse (Hayat, Geras, Shamout, MLHC 2022): words after the colon choose size, task and run.

    configs/medfuse.py                                   the demo: invented patients, minutes
    configs/medfuse.py:published,phenotyping,medfuse     the paper's recipe on prepared MIMIC

The base below is the published recipe; `smoke` and `demo` make it small.
"""

from ml_collections import ConfigDict, config_dict

from medjax.systems.medfuse.choices import CHOICES as CHOICES
from medjax.systems.medfuse.finish import finish as finish


def get_config() -> ConfigDict:
    """MedFuse: ICU time series and chest X-rays."""
    config = ConfigDict()
    config.system = "medfuse"
    config.size = "published"  # set by the words smoke, demo and published
    config.seed = 1002
    # "default" is what is right; "published" sets every quirk listed in
    # medjax/systems/medfuse/published.py.
    config.compat = "default"
    config.stages = ("cxr", "ehr", "fusion")

    config.data = ConfigDict()
    config.data.dir = config_dict.placeholder(str)  # prepared mimic_iv; none: the demo
    config.data.xray_dir = config_dict.placeholder(str)  # prepared films; none: no images
    # Or "phenotyping", "decompensation", "length_of_stay", "multitask", "own" (--labels=CSV).
    config.data.task = "in_hospital_mortality"
    # Series are padded to the first bucket that holds the batch's longest: few compilations.
    config.data.length_buckets = (48, 96, 192, 384, 768, 1536)  # hours
    config.data.image = ConfigDict({"resize": 256, "crop": 224})  # shorter side, pixels
    config.data.image.update({"degrees": 45.0, "translate": 0.15, "flip": 0.5})
    config.data.image.scale = (0.85, 1.15)
    # Stays without an image in `partial_ehr_cxr`: all of them once, or drawn with replacement.
    config.data.unpaired_sampling = "each_once"  # or "random_with_replacement"
    config.data.val_unpaired_ratio = 0.0
    config.data.test_unpaired_ratio = 1.0
    config.data.demo = ConfigDict({"patients": 1200, "seed": 7})

    # Weights of the losses of "multitask".
    config.multitask = ConfigDict({"in_hospital_mortality": 1.0, "decompensation": 1.0})
    config.multitask.update({"length_of_stay": 1.0, "phenotyping": 1.0})

    config.cxr = stage(fusion="uni_cxr", labels="radiology", pairs="radiology")
    config.cxr.optimizer.learning_rate = 1e-4
    config.cxr.train.epochs = 100

    config.ehr = stage(fusion="uni_ehr", labels="task", pairs="partial_ehr")
    config.ehr.optimizer.learning_rate = 5.3985e-4

    config.fusion = stage(fusion="lstm", labels="task", pairs="partial_ehr_cxr")
    config.fusion.optimizer.learning_rate = 1e-4
    config.fusion.init_from = (("cxr", "cxr"), ("ehr", "ehr"))

    # Every stage once for each seed; (): only for `seed` above. One after another ("loop"), all in
    # one compiled step ("vmap"), or as is faster: vmap on accelerators, else loop ("auto").
    config.replicas = ConfigDict({"seeds": (), "run": "loop"})

    # (question, stage, the stage it is held against): on the same test stays, by paired bootstrap.
    config.comparisons = ()

    config.evaluation = ConfigDict()
    config.evaluation.resamples = 1000  # bootstrap, 95 % intervals; 0: none
    config.evaluation.bootstrap_when = "final"  # or "always": every validation too
    config.evaluation.bootstrap_one_class = "redraw"  # or "fail"
    # Late fusion: weights a label fitted on the validation split, or one half ("average").
    config.evaluation.late_fusion_weights = "fitted"
    config.evaluation.late_fusion_candidate = "blend"  # or "slip", what the published search tries
    config.evaluation.age_groups = (18, 40, 60, 80, 100)  # edges; the last group takes all above

    config.inspect_model = False  # time some steps on a copy of the weights before training
    config.precision = "float32"  # or "bfloat16": compute only; weights and losses stay float32
    config.matmul_precision = "default"  # "highest" for exact float32 on accelerators
    config.fast_compilation = False  # compile quickly rather than well: for the shortest runs
    config.sharding = ConfigDict({"parameters": "replicated"})  # or "sharded" over the devices
    config.loader = ConfigDict({"threads": 4, "workers": 0})
    config.distributed = False
    config.require_accelerator = False
    return config


def stage(fusion: str, labels: str, pairs: str) -> ConfigDict:
    """Return a stage with the paper's hyperparameters; learning rates are set above."""
    s = ConfigDict()
    s.model = ConfigDict({"fusion": fusion, "backbone": "resnet34"})
    s.model.width = 64  # channels of the first stage
    s.model.dim = 256  # LSTM width
    s.model.layers = 2
    s.model.dropout = 0.3
    s.model.batch_statistics = "global"  # or "per_group": `groups` equal parts of the batch
    s.model.groups = 1
    s.model.absent_images = "masked"  # "zeros": stand in BatchNorm statistics as zero images
    # fusion "lstm": which token comes first, and what a stay without an image reads.
    s.model.modality_order = "ehr_first"  # or "image_first"
    s.model.image_first_unpaired = "ehr_only"  # or "zero_image": zeros, never its series
    # fusion "early", "joint": what stands for an absent image's features.
    s.model.missing_token = "none"  # as absent_images has it; or "zeros", "learnable"
    # fusion "lstm_with_token" (series, SEP, image, CLS): what a stay without an image reads.
    s.model.token_unpaired = "ehr_sep_cls"  # or "ehr_sep"
    # fusion "mmtm", "daft": blocks after the stem (0), a stage (1 to 4), or all of these (-1).
    s.model.layer_after = 4
    s.model.squeeze_mean = "masked"  # over a row's own hours; "padded": over the longest row's
    s.model.mmtm_ratio = 4.0
    s.model.daft_activation = "linear"  # of the scale; or "sigmoid", "tanh"
    s.data = ConfigDict()
    s.data.labels = labels  # "task", or "radiology": the 14 labels of the film
    s.data.pairs = pairs
    s.data.data_ratio = 1.0
    # None: fresh weights; a stage of this run, a run, `run@step`, or a folder of converted weights
    # (`python -m medjax.convert`); or parts of the network: cxr:SOURCE,ehr:SOURCE.
    s.init_from = config_dict.placeholder(object)
    s.optimizer = ConfigDict()
    s.optimizer.name = "adam"
    s.optimizer.learning_rate = 1e-4
    s.optimizer.b1 = 0.9
    s.optimizer.b2 = 0.9  # the published learning rates were chosen with it
    s.optimizer.eps = 1e-8
    s.optimizer.update({"weight_decay": 0.0, "momentum": 0.0, "clip_norm": 0.0})
    s.optimizer.schedule = "constant"  # or "warmup_cosine", with the three below
    s.optimizer.update({"warmup_steps": 0, "warmup_learning_rate": 0.0, "final_learning_rate": 0.0})
    s.train = ConfigDict()
    s.train.epochs = 50
    s.train.global_batch_size = 16
    s.train.evaluation_batch_size = 16
    s.train.accumulation = 1
    s.train.evaluate_every = 1  # epochs
    s.train.validation_split = "validation"
    s.train.final_splits = ("validation", "test")
    s.train.monitor = "auroc/macro"
    s.train.monitor_mode = "max"
    s.train.patience = 15  # evaluations without a better monitored value; 0: never stop early
    s.train.plateau = ConfigDict({"factor": 0.5, "patience": 10, "threshold": 1e-4})
    s.train.epoch_order = "train_then_validate"
    s.train.frozen_encoder_mode = "eval"
    s.train.align = 0.0  # weight of the distance between both modalities' features in the loss
    s.train.mmtm_ehr_optimizer = "ehr"  # "visual_copy": the series' step holds the image network
    s.train.mmtm_select_head = "joint"  # "max_of_four": by the best head's mean AUROC
    s.train.on_not_finite = "stop"  # or "skip"
    s.train.save_every = 1000  # steps, besides at every evaluation; 0: only there
    s.train.log_every = 10  # steps
    return s


# Sizes


def smoke(config: ConfigDict) -> None:
    """The smallest run, about half a minute with compilation, for tests."""
    config.size = "smoke"
    small(config, patients=120, epochs=1, batch=8)
    config.evaluation.resamples = 20
    config.fast_compilation = True
    config.data.image.update({"resize": 36, "crop": 32})
    for s in (config.cxr, config.ehr, config.fusion):
        s.model.update({"backbone": "resnet4", "width": 8, "dim": 16})


def demo(config: ConfigDict) -> None:
    """Invented patients, a small image network: minutes on two cores (the default)."""
    config.size = "demo"
    small(config, patients=1200, epochs=10, batch=32)


def small(config: ConfigDict, patients: int, epochs: int, batch: int) -> None:
    """Shrink every stage; the films are 64 pixels wide and the image network is a ResNet-10."""
    config.data.demo.patients = patients
    config.data.length_buckets = (48, 192, 768)
    config.data.image.update({"resize": 72, "crop": 64, "degrees": 10.0, "translate": 0.05})
    config.data.image.scale = (0.95, 1.05)
    config.data.val_unpaired_ratio = 1.0  # few stays: select on all of them
    config.stages = ("ehr", "fusion")
    config.fusion.init_from = (("ehr", "ehr"),)
    config.loader.threads = 2
    for s in (config.cxr, config.ehr, config.fusion):
        s.model.update({"backbone": "resnet10", "width": 16, "dim": 64, "layers": 1})
        s.train.update({"epochs": epochs, "global_batch_size": batch})
        s.train.evaluation_batch_size = 64
        s.train.patience = 0
        s.optimizer.learning_rate = 1e-3
        s.optimizer.b2 = 0.999
    config.fusion.optimizer.learning_rate = 3e-4


def published(config: ConfigDict) -> None:
    """The paper's recipe on prepared MIMIC: needs data.dir, and data.xray_dir for films."""
    config.size = "published"


# Tasks


def mortality(config: ConfigDict) -> None:
    """In-hospital mortality from the first 48 hours (the default task)."""
    config.data.task = "in_hospital_mortality"


def phenotyping(config: ConfigDict) -> None:
    """25 phenotypes from the whole stay."""
    config.data.task = "phenotyping"
    config.fusion.optimizer.learning_rate = rate(config, 7e-5, 7e-5)


def decompensation(config: ConfigDict) -> None:
    """Death within 24 hours, at every hour of the stay."""
    config.data.task = "decompensation"


def length_of_stay(config: ConfigDict) -> None:
    """The remaining length of stay in ten bins, at every hour."""
    config.data.task = "length_of_stay"


def multitask(config: ConfigDict) -> None:
    """Mortality, phenotypes, decompensation and length of stay by one network."""
    config.data.task = "multitask"


# Runs of the paper


def medfuse(config: ConfigDict) -> None:
    """MedFuse: both encoders pre-trained, then the fusion LSTM (the default run)."""


def medfuse_random_init(config: ConfigDict) -> None:
    """MedFuse with no encoder loaded."""
    fuse(config, "lstm", "partial_ehr_cxr", (7e-5, 9.382e-5))


def uni_ehr_all(config: ConfigDict) -> None:
    """The time series alone, every stay."""
    config.stages = ("ehr",)


def uni_ehr_paired(config: ConfigDict) -> None:
    """The time series alone, only stays that have an image."""
    config.stages = ("ehr",)
    config.ehr.data.pairs = "paired_ehr"
    config.ehr.optimizer.learning_rate = rate(config, 8.866e-5, 1e-4)


def uni_cxr(config: ConfigDict) -> None:
    """The image alone."""
    config.stages = ("cxr",)
    config.cxr.data.update({"labels": "task", "pairs": "paired_ehr_cxr"})
    config.cxr.train.epochs = config.fusion.train.epochs
    config.cxr.optimizer.learning_rate = rate(config, 1e-4, 2.951e-5)


def early(config: ConfigDict) -> None:
    """Both encoders pre-trained and frozen, their features concatenated."""
    fuse(config, "early", "paired_ehr_cxr", (3.833e-5, 9.515e-5), pretrained=True)


def joint(config: ConfigDict) -> None:
    """Both encoders trained from the start, their features concatenated."""
    fuse(config, "joint", "paired_ehr_cxr", (5.652e-5, 4.032e-5))


def late(config: ConfigDict) -> None:
    """Each modality alone; their probabilities blended by fitted weights."""
    uni_cxr(config)
    config.stages = ("cxr", "ehr", "fusion")
    config.fusion.model.fusion = "late"
    parts = (("cxr", "cxr"), ("cxr_head", "cxr"), ("ehr", "ehr"), ("ehr_head", "ehr"))
    config.fusion.init_from = parts


def ensemble(config: ConfigDict) -> None:
    """Each modality alone; the mean of their probabilities."""
    late(config)
    config.evaluation.late_fusion_weights = "average"


def early_token(config: ConfigDict) -> None:
    """Early fusion of every stay, a learned token in place of an absent image."""
    fuse(config, "early", "partial_ehr_cxr", (9.084e-5, 3.0951e-4), pretrained=True)
    config.fusion.model.missing_token = "learnable"


def joint_token(config: ConfigDict) -> None:
    """Joint fusion of every stay, a learned token in place of an absent image."""
    fuse(config, "joint", "partial_ehr_cxr", (3.831e-5, 7.5645e-4))
    config.fusion.model.missing_token = "learnable"


def lstm_token(config: ConfigDict) -> None:
    """MedFuse with a separator and an end token for the fusion LSTM."""
    config.fusion.model.fusion = "lstm_with_token"


def reversed_order(config: ConfigDict) -> None:
    """MedFuse with the image's token before the series' (the replication's variant)."""
    config.fusion.model.modality_order = "image_first"


def mmtm(config: ConfigDict) -> None:
    """Multimodal transfer modules between both encoders, three optimiser steps a batch."""
    fuse(config, "mmtm", "paired_ehr_cxr", (5.326e-5, 4.355e-5))
    config.fusion.model.layer_after = block(config, 4)


def daft(config: ConfigDict) -> None:
    """Dynamic affine transforms of the series by the image network's maps."""
    fuse(config, "daft", "paired_ehr_cxr", (6.493e-5, 6.493e-5))
    config.fusion.model.layer_after = block(config, 3 if config.data.task == "phenotyping" else 4)


def radiology(config: ConfigDict) -> None:
    """The image encoder alone, on the 14 labels of the films."""
    config.stages = ("cxr",)


def hypotheses(config: ConfigDict) -> None:
    """The paper's three comparisons over three seeds: a table and a plot with intervals."""
    # 1. One modality or both: MedFuse (`fusion`) against the series alone (`ehr`) and the film
    #    alone (`image`). `image` starts from the same pre-trained encoder as `fusion` does, so that
    #    pre-training is no part of the difference.
    # 2. Separate encoders or joint ones: under one fusion, concatenation, encoders pre-trained each
    #    on its own and then trained on (`separate`) or frozen (`early`), against encoders trained
    #    together from the start (`joint`). Pre-training sees the films of patients without a stay
    #    and the 14 labels, which `joint` cannot use: that is the point of separate encoders.
    # 3. A sequence or one vector: the fusion LSTM (`fusion`) against concatenation (`separate`),
    #    both from the same encoders.
    # All four fused models train on the same stays, with and without a film; all models are
    # scored on the stays with a film.
    pretrained = (("cxr", "cxr"), ("ehr", "ehr"))
    with config.unlocked():
        config.image = config.fusion.copy_and_resolve_references()
        config.image.model.fusion = "uni_cxr"
        config.image.data.pairs = "paired_ehr_cxr"
        config.image.init_from = (("cxr", "cxr"),)
        config.image.optimizer.learning_rate = rate(config, 1e-4, 2.951e-5)
        for name, fusion in (("separate", "joint"), ("early", "early"), ("joint", "joint")):
            config[name] = config.fusion.copy_and_resolve_references()
            config[name].model.fusion = fusion
            config[name].init_from = None if name == "joint" else pretrained
    config.fusion.init_from = pretrained
    config.early.optimizer.learning_rate = rate(config, 3.833e-5, 9.515e-5)
    config.joint.optimizer.learning_rate = rate(config, 5.652e-5, 4.032e-5)
    config.stages = ("cxr", "ehr", "image", "fusion", "separate", "early", "joint")
    config.replicas.seeds = (1, 2) if config.size == "smoke" else (1, 2, 3)
    config.comparisons = (
        ("1. Both modalities, or one?", "fusion", "ehr"),
        ("1. Both modalities, or one?", "fusion", "image"),
        ("2. Separate encoders, or joint ones?", "separate", "joint"),
        ("2. Separate encoders, or joint ones?", "early", "joint"),
        ("3. A sequence, or one vector?", "fusion", "separate"),
    )
    if config.size == "demo":
        config.data.demo.patients = 3600
        config.data.image.update({"resize": 54, "crop": 48})
        for name, epochs in DEMO_EPOCHS.items():
            config[name].train.epochs = epochs
        for s in (config.early, config.joint):  # what begins untrained, at the rate of `ehr`
            s.optimizer.learning_rate = config.ehr.optimizer.learning_rate


def fuse(
    config: ConfigDict,
    fusion: str,
    pairs: str,
    rates: tuple[float, float],
    pretrained: bool = False,
) -> None:
    """Set the fusion stage, after both encoders or alone; rates: of phenotyping, of mortality."""
    config.stages = ("cxr", "ehr", "fusion") if pretrained else ("fusion",)
    config.fusion.init_from = (("cxr", "cxr"), ("ehr", "ehr")) if pretrained else None
    config.fusion.model.fusion = fusion
    config.fusion.data.pairs = pairs
    config.fusion.optimizer.learning_rate = rate(config, *rates)


def block(config: ConfigDict, after: int) -> int:
    """Return the stage after which a block stands; the smallest image network has one stage."""
    return 1 if config.size == "smoke" else after


def rate(config: ConfigDict, phenotyping: float, mortality: float) -> float:
    """Return the paper's learning rate for the task; a small size keeps its own."""
    if config.size != "published":
        return config.fusion.optimizer.learning_rate
    return phenotyping if config.data.task == "phenotyping" else mortality


DEMO_EPOCHS = {
    "cxr": 4, "ehr": 3, "image": 3, "fusion": 4, "separate": 4, "early": 4, "joint": 5,
}  # fmt: skip
"""Of the word `hypotheses`, whose demo has more patients and smaller films than the others."""

SIZES = (smoke, demo, published)
TASKS = (mortality, phenotyping, decompensation, length_of_stay, multitask)
RUNS = (
    *(medfuse, medfuse_random_init, uni_ehr_all, uni_ehr_paired, uni_cxr, early, joint, late),
    *(ensemble, early_token, joint_token, lstm_token, reversed_order, mmtm, daft, radiology),
    hypotheses,
)
WORDS = {f.__name__: f for f in (*SIZES, *TASKS, *RUNS)}
GROUPS = {"task": tuple(f.__name__ for f in TASKS), "run": tuple(f.__name__ for f in RUNS)}
