"""MedKLIP (Wu and others, ICCV 2023): words after the colon choose size, task and variant.

    configs/medklip.py                                   the demo: invented films, minutes
    configs/medklip.py:published                         the paper's recipe on prepared MIMIC-CXR

The base below is the published recipe; `smoke` and `demo` make it small.
"""

from ml_collections import ConfigDict, config_dict

from medjax.systems.medklip.choices import CHOICES as CHOICES
from medjax.systems.medklip.finish import finish as finish


def get_config() -> ConfigDict:
    """MedKLIP: films pre-trained on the triplets of their reports, read by descriptions."""
    config = ConfigDict()
    config.system = "medklip"
    config.size = "published"  # set by the words smoke, demo and published
    config.seed = 42
    # "default" is what is right; "published" sets every quirk listed in
    # medjax/systems/medklip/published.py.
    config.compat = "default"
    config.stages = ("pretrain", "zero_shot", "grounding")

    config.data = ConfigDict()
    config.data.dir = config_dict.placeholder(str)  # prepared films; none: the demo
    config.data.triplets_dir = config_dict.placeholder(str)  # triplets of their reports
    config.data.report_sections = ("findings", "impression")
    config.data.uncertain_label = "ignore"  # or "positive", "negative", "soft"
    config.data.position_candidates = 8  # one true, the others drawn from where it is not
    config.data.image = ConfigDict({"size": 224, "flip": 0.5})  # flips contradict "left"
    config.data.image.crop_area = (0.2, 1.0)  # share of the film that training shows; (1, 1): all
    config.data.image.update({"augment_operations": 2, "augment_level": 7})  # 0 operations: none
    config.data.image.sharpness_overflow = "clip"  # or "wrap"
    config.data.image.autocontrast_offset = "exact"  # or "wrap"
    config.data.image.luma_channel_order = "rgb"  # or "bgr"
    config.data.demo = ConfigDict({"patients": 600, "seed": 0, "width": 128})

    # What turns a description into a vector: "bert" (a folder of one), "table" (a file; none: it is
    # fitted on the training split's reports), or "random", which knows nothing.
    config.text = ConfigDict({"encoder": "bert"})
    config.text.bert_dir = config_dict.placeholder(
        str
    )  # Bio_ClinicalBERT's, for anything published
    config.text.table = config_dict.placeholder(str)
    config.text.dim = 64  # of vectors of tables
    config.text.descriptions = config_dict.placeholder(str)  # JSON of 75 texts; none: medjax's own

    config.pretrain = pretraining()
    config.zero_shot = zero_shot_reading()
    config.grounding = zero_shot_grounding()
    config.finetune = fine_tuning("finetune_classification", epochs=100, warmup=20)
    config.segmentation = fine_tuning("finetune_segmentation", epochs=1000, warmup=50)
    config.replication = replicating()
    config.clip = clipping()

    # Every stage once for each seed; (): only for `seed` above. One after another ("loop"), all in
    # one compiled step ("vmap"), or as is faster: vmap on accelerators, else loop ("auto").
    config.replicas = ConfigDict({"seeds": (), "run": "loop"})

    config.evaluation = ConfigDict({"resamples": 1000})  # bootstrap, 95 % intervals; 0: none
    # A score at the threshold is positive ("at_least"), or not ("above"). Thresholds are chosen on
    # the validation split, or on the "test" split itself, an oracle.
    config.evaluation.update({"f1_threshold_rule": "at_least", "f1_threshold_split": "validation"})

    config.precision = "float32"  # or "bfloat16": compute only; weights and losses stay float32
    config.matmul_precision = "default"  # "highest" for exact float32 on accelerators
    config.fast_compilation = False  # compile quickly rather than well: for the shortest runs
    config.sharding = ConfigDict({"parameters": "replicated"})  # or "sharded" over the devices
    config.loader = ConfigDict({"threads": 4, "workers": 0})
    config.distributed = False
    config.require_accelerator = False
    return config


# Stages


def pretraining() -> ConfigDict:
    """Return the stage that learns existence and position of entities from triplets."""
    s = reading("pretrain")
    s.init_from = config_dict.placeholder(object)
    s.loss = ConfigDict({"existence_weight": 1.0, "position_weight": 1.0})
    s.loss.exclude_class = False  # True: seven rare entities are left out
    s.loss.no_cl = False  # True: no contrast of positions
    s.loss.empty_mask_loss = "zero"  # where nothing is known; or "nan"
    s.optimizer = optimizer("adamw", 1e-4)
    s.optimizer.update({"schedule": "warmup_cosine", "warmup_steps": 500})
    s.optimizer.update({"warmup_learning_rate": 1e-5, "final_learning_rate": 1e-5})
    s.optimizer.update({"warmup_epochs": 5, "clock_step_size": 100})  # of "epoch_clock"
    s.optimizer.logged_learning_rate = "used"  # or "epoch_clock": f(epoch)
    s.train = training(epochs=100, batch=48, evaluation_batch=32)
    s.train.validation_transform = "evaluation"  # or "training"
    s.train.update({"validation_shuffle": False, "validation_drop_last": False})
    return s


def zero_shot_reading() -> ConfigDict:
    """Return the stage that scores labels of a table by the descriptions of entities."""
    s = reading("zero_shot")
    s.init_from = "pretrain"
    s.labels = ()  # of the table; (): all that an entity or the disease below scores
    # A disease that is no entity, or is to be described otherwise; the description alone, or its
    # name where there is none, becomes one more query.
    s.disease = config_dict.placeholder(str)
    s.description = config_dict.placeholder(str)
    s.train = ConfigDict({"evaluation_batch_size": 32, "final_splits": ("validation", "test")})
    return s


def zero_shot_grounding() -> ConfigDict:
    """Return the stage that holds attention against the places of findings."""
    s = reading("grounding")
    s.init_from = "pretrain"
    s.labels = ()  # of the places; (): all that an entity scores
    # 1.568 times even attention (0.008 at 14 x 14 patches); or "searched" on the validation split.
    s.threshold = "published"
    s.empty_mask = "skip"  # or "miss": a film whose finding has no pixel
    s.overlays = 8  # films of a finding with its attention drawn over them; 0: none
    s.train = ConfigDict({"evaluation_batch_size": 32, "final_splits": ("validation", "test")})
    return s


def fine_tuning(kind: str, epochs: int, warmup: int) -> ConfigDict:
    """Return a stage that trains on labels or masks, from the pre-training's image network."""
    s = ConfigDict({"kind": kind})
    s.model = ConfigDict({"backbone": "resnet50", "width": 64, "gradient_checkpointing": False})
    s.model.update({"batch_statistics": "global", "groups": 1})
    s.init_from = (("network", "pretrain", "encoder/network"),)
    s.optimizer = optimizer("adamw", 1e-5)
    s.optimizer.update({"warmup_learning_rate": 1e-5, "final_learning_rate": 1e-5})
    s.optimizer.update({"warmup_epochs": warmup, "clock_step_size": 100})  # of "epoch_clock"
    s.optimizer.logged_learning_rate = "used"
    s.train = training(epochs, batch=64, evaluation_batch=64)
    s.train.train_fraction = 1.0  # of the training films; smaller ones lie inside larger ones
    s.train.train_fraction_seed = 0
    if kind == "finetune_classification":
        s.labels = ()  # of the table; (): all
    else:
        s.finding = config_dict.placeholder(str)  # of the places; none: the only one there is
        s.model.dropout = 0.2
        s.loss = ConfigDict({"dice_scope": "batch"})  # or "image": each image's Dice
    return s


def replicating() -> ConfigDict:
    """Return the replication's stage, as its README promises it; the notebook's is "published"."""
    s = reading("replication")
    del s.model.init_std  # PyTorch's own draws
    s.labels = "radgraph"  # negation is heard; or "substring": names of entities in the report
    s.model.update({"stages": 4, "dim": 768, "decoder_layers": 2, "heads": 8, "feedforward": 2048})
    s.model.decoder_norm = "post"
    s.model.attention_map = "cross_attention"  # of the last layer; or "output_dot_patches"
    s.model.backbone_statistics = "batch_in_training"  # or "batch_always": in evaluation too
    s.text.update({"pooling": "masked_mean", "query_text": "description"})  # or "name": "X finding"
    s.backbone_weights = "file"  # named by init_from; or "random"
    s.init_from = config_dict.placeholder(object)
    # Weights of the contrast of positions and of the likeness of film and report; the README names
    # none. Report vectors are taken less the training split's mean, without which all are alike.
    s.loss = ConfigDict({"alpha_position": 1.0, "alpha_semantic": 1.0, "semantic_center": True})
    s.optimizer = optimizer("adam", 1e-4)
    s.train = training(epochs=5, batch=4, evaluation_batch=4)
    s.train.update({"shuffle": True, "backbone_trainable": True})
    s.train.image_projection_trainable = True
    s.overlays = 8
    return s


def clipping() -> ConfigDict:
    """Return the stage of the replication's older notebook: films and reports in one space."""
    s = reading("clip")
    s.model = ConfigDict({"backbone": "vit_base_patch16_224", "stages": 4, "width": 64, "dim": 512})
    s.model.update({"gradient_checkpointing": False, "batch_statistics": "global", "groups": 1})
    s.init_from = config_dict.placeholder(object)
    s.backbone_weights = "file"  # named by init_from; or "random"
    s.zero_shot_truth = "labels"  # negation is heard, several may hold; or "first_prompt"
    s.optimizer = optimizer("adamw", 2e-5)
    s.optimizer.weight_decay = 1e-4
    s.train = training(epochs=10, batch=8, evaluation_batch=8)
    return s


def reading(kind: str) -> ConfigDict:
    """Return what every stage has that reads films by descriptions: the published network."""
    s = ConfigDict({"kind": kind})
    m = s.model = ConfigDict({"backbone": "resnet50"})  # or "resnet18", "vit_base_patch16_224", ...
    m.stages = 3  # of a ResNet: patches of 16 pixels
    m.width = 64  # channels of a ResNet's first stage
    m.update({"dim": 256, "decoder_layers": 4, "heads": 4, "feedforward": 1024, "dropout": 0.1})
    m.init_std = 0.02  # of the normal numbers that linear layers start with
    m.decoder_norm = "pre"  # or "post"
    m.post_norm_self_attention = "added"  # or "discarded"; read with "post" only
    m.patch_position_encoding = "none"  # or "sine"
    m.position_logit_scale = 1.0
    m.gradient_checkpointing = False  # True: less memory, a third more time
    m.update({"batch_statistics": "global", "groups": 1})  # or "per_group": `groups` equal parts
    s.text = ConfigDict({"position_prompt": "blanks"})  # or "underscores": "left_pleural"
    s.text.update({"max_tokens": 128, "pooling": "first_token"})
    return s


def optimizer(name: str, rate: float) -> ConfigDict:
    """Return an optimiser at a constant rate; the decay is AdamW's."""
    o = ConfigDict({"name": name, "learning_rate": rate, "b1": 0.9, "b2": 0.999, "eps": 1e-8})
    o.update({"weight_decay": 0.02 if name == "adamw" else 0.0, "decay_rule": "matrices"})
    o.update({"momentum": 0.0, "clip_norm": 0.0, "schedule": "constant", "warmup_steps": 0})
    o.update({"warmup_learning_rate": 0.0, "final_learning_rate": 0.0})
    return o


def training(epochs: int, batch: int, evaluation_batch: int) -> ConfigDict:
    """Return a `train` section that keeps the weights of the lowest validation loss."""
    t = ConfigDict({"epochs": epochs, "global_batch_size": batch})
    t.update({"evaluation_batch_size": evaluation_batch, "accumulation": 1})
    t.evaluate_every = 1  # epochs
    t.validation_split = "validation"
    t.final_splits = ("validation", "test")
    t.update({"monitor": "loss", "monitor_mode": "min"})
    t.patience = 0  # evaluations without a better monitored value; 0: never stop early
    t.plateau = ConfigDict({"factor": 1.0, "patience": 10, "threshold": 1e-4})
    t.epoch_order = "train_then_validate"
    t.on_not_finite = "stop"  # or "skip"
    t.save_every = 1000  # steps, besides at every evaluation; 0: only there
    t.log_every = 10  # steps
    return t


# Sizes


def smoke(config: ConfigDict) -> None:
    """The smallest run, about half a minute with compilation, for tests."""
    config.size = "smoke"
    small(config, patients=60, epochs=1, batch=8)
    config.evaluation.resamples = 20
    config.fast_compilation = True
    config.data.demo.width = 64
    config.data.image.size = 32
    config.pretrain.optimizer.warmup_steps = 1
    for name in (*READING, *FINE_TUNING, "replication"):
        config[name].model.width = 8
    for name in (*READING, "replication"):
        config[name].model.update({"dim": 16, "decoder_layers": 1, "feedforward": 32})
    for name in (*FINE_TUNING, "replication"):
        config[name].train.epochs = 1


def demo(config: ConfigDict) -> None:
    """Invented films with known places, a small image network: minutes on two cores (default)."""
    config.size = "demo"
    small(config, patients=600, epochs=15, batch=16)


def small(config: ConfigDict, patients: int, epochs: int, batch: int) -> None:
    """Shrink every stage."""
    config.text.encoder = "table"
    config.data.demo.patients = patients
    config.data.image.update({"size": 128, "flip": 0.0, "augment_operations": 0})
    config.data.image.crop_area = (0.6, 1.0)
    config.loader.threads = 2
    for name in (*READING, *FINE_TUNING, "replication"):
        config[name].model.update({"backbone": "resnet10", "width": 16})
        config[name].train.evaluation_batch_size = 32
    for name in (*READING, "replication"):
        config[name].model.update({"dim": 64, "decoder_layers": 2, "feedforward": 128})
        config[name].model.dropout = 0.0
    for name in READING:  # one look, which must then be at the finding
        config[name].model.update({"decoder_layers": 1, "heads": 1})
    config.replication.backbone_weights = "random"
    config.replication.model.stages = 3  # patches of 16 of 128 pixels
    config.clip.backbone_weights = "random"
    config.clip.model.update({"backbone": "resnet10", "width": 16, "dim": 64})
    config.clip.optimizer.learning_rate = 1e-3
    config.clip.train.update({"epochs": epochs, "global_batch_size": batch})
    config.replication.optimizer.learning_rate = 1e-3
    config.replication.train.update({"epochs": epochs, "global_batch_size": batch})
    for name in FINE_TUNING:
        config[name].optimizer.learning_rate = 1e-3
        config[name].train.update({"epochs": epochs, "global_batch_size": batch})
    config.segmentation.finding = "Effusion"
    config.pretrain.train.update({"epochs": epochs, "global_batch_size": batch})
    config.pretrain.optimizer.update({"learning_rate": 2e-3, "warmup_steps": 50})


def published(config: ConfigDict) -> None:
    """The paper's recipe: needs data.dir, data.triplets_dir and text.bert_dir."""
    config.size = "published"


# Tasks


def pretrain(config: ConfigDict) -> None:
    """Pre-training alone."""
    config.stages = ("pretrain",)


def zero_shot(config: ConfigDict) -> None:
    """Pre-training, then labels of the table scored by descriptions."""
    config.stages = ("pretrain", "zero_shot")


def ground(config: ConfigDict) -> None:
    """Pre-training, then attention held against the places of findings."""
    config.stages = ("pretrain", "grounding")


def finetune_1(config: ConfigDict) -> None:
    """Pre-training, then a classifier of the labels on 1 % of the training films."""
    fine_tune(config, "finetune", 0.01)


def finetune_10(config: ConfigDict) -> None:
    """Pre-training, then a classifier of the labels on 10 % of the training films."""
    fine_tune(config, "finetune", 0.1)


def finetune_100(config: ConfigDict) -> None:
    """Pre-training, then a classifier of the labels on all training films."""
    fine_tune(config, "finetune", 1.0)


def segmentation_1(config: ConfigDict) -> None:
    """Pre-training, then the segmentation of a finding on 1 % of the training films."""
    fine_tune(config, "segmentation", 0.01)


def segmentation_10(config: ConfigDict) -> None:
    """Pre-training, then the segmentation of a finding on 10 % of the training films."""
    fine_tune(config, "segmentation", 0.1)


def segmentation_100(config: ConfigDict) -> None:
    """Pre-training, then the segmentation of a finding on all training films."""
    fine_tune(config, "segmentation", 1.0)


def fine_tune(config: ConfigDict, stage: str, fraction: float) -> None:
    """Set the stages, and the share of the training films that the second one sees."""
    config.stages = ("pretrain", stage)
    config[stage].train.train_fraction = fraction


# Variants


def cmtalha(config: ConfigDict) -> None:
    """The replication as its README promises it: six entities, three losses."""
    config.stages = ("replication",)
    config.data.image.update({"flip": 0.0, "augment_operations": 0})
    config.data.image.crop_area = (1.0, 1.0)
    if config.size == "published":
        config.data.image.size = 512


def notebook(config: ConfigDict) -> None:
    """The replication as its notebook runs: labels by substring, existence alone."""
    cmtalha(config)
    config.compat = "published"
    config.data.report_sections = ("impression",)  # the whole report where it has none
    if config.size == "published":
        config.replication.train.epochs = 8


def clip(config: ConfigDict) -> None:
    """The replication's older notebook: frozen encoders, two projections that learn."""
    cmtalha(config)
    config.stages = ("clip",)
    if config.size == "published":
        config.data.image.size = 224


READING = ("pretrain", "zero_shot", "grounding")
FINE_TUNING = ("finetune", "segmentation")
SIZES = (smoke, demo, published)
TASKS = (
    *(pretrain, zero_shot, ground, finetune_1, finetune_10, finetune_100),
    *(segmentation_1, segmentation_10, segmentation_100),
)
VARIANTS = (cmtalha, notebook, clip)
WORDS = {f.__name__: f for f in (*SIZES, *TASKS, *VARIANTS)}
GROUPS = {
    "task": tuple(f.__name__ for f in (*TASKS, cmtalha)),
    "notebook": ("notebook", "clip"),
}
