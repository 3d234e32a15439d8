"""MedST (Yang and others, ICML 2024) and MGCA: words after the colon choose size, task and method.

    configs/medst.py                                     the demo: invented patients, minutes
    configs/medst.py:published                           the paper's recipe on prepared MIMIC-CXR

The base below is the published recipe; `smoke` and `demo` make it small.
"""

from ml_collections import ConfigDict, config_dict

from medjax.systems.medst.choices import CHOICES as CHOICES
from medjax.systems.medst.finish import finish as finish
from medjax.systems.medst.tasks.zero_shot import NEGATIVE, POSITIVE


def get_config() -> ConfigDict:
    """MedST: films of two views and their reports, brought together in space and time."""
    config = ConfigDict()
    config.system = "medst"
    config.size = "published"  # set by the words smoke, demo and published
    config.seed = 42
    # "default" is what is right; "published" sets every quirk listed in
    # medjax/systems/medst/published.py.
    config.compat = "default"
    config.stages = (
        "pretrain",
        "temporal_images",
        "temporal_sentences",
        "zeroshot_rsna",
        "pairwise",
    )
    # A run or a folder of converted weights that stands in for pre-training: the other stages read
    # with these.
    config.weights = config_dict.placeholder(str)

    config.data = ConfigDict()
    config.data.dir = config_dict.placeholder(str)  # prepared films with reports; none: the demo
    config.data.ms_cxr_t_dir = config_dict.placeholder(str)
    config.data.rsna_dir = config_dict.placeholder(str)
    config.data.covidx_dir = config_dict.placeholder(str)
    config.data.siim_dir = config_dict.placeholder(str)
    config.data.chexpert_dir = config_dict.placeholder(str)
    config.data.image = ConfigDict({"canvas": 256, "crop": 224})  # pixels of a film, of a view
    config.data.max_tokens = 112  # of a report; the end of a longer one is lost
    config.data.series_length = 4  # most studies of a sequence
    config.data.shortest_sequence = 2  # fewer have no place in time
    config.data.sequence_unit = "study"  # or "image": several films of a study are neighbours
    config.data.keep_decimals = True  # False: 4.5 is torn apart
    config.data.align_laterals = True  # False: laterals beside films of other studies
    config.data.mask_geometry = "as_image"  # or "padded": of films that are no squares elsewhere
    config.data.box_scaling = "once"  # or "every_access": boxes shrink to nothing
    config.data.fraction = 1.0  # of the training sequences
    config.data.fraction_unit = "chunk"
    config.data.demo = ConfigDict({"patients": 600, "rsna": 400, "covidx": 200})
    config.data.demo.update({"siim": 300, "chexpert": 300, "seed": 0, "width": 66})

    # Where the vocabulary of word pieces comes from: "bert" (of `bert_dir`), or "captions".
    config.text = ConfigDict({"vocabulary": "bert"})
    config.text.bert_dir = config_dict.placeholder(str)  # Bio_ClinicalBERT's
    # What a text encoder starts from that `init_from` does not bring: the first layers of
    # `bert_dir`, where that is named, or "random".
    config.text.init = "bert"

    config.pretrain = pretraining()
    config.pretrain_legacy = pretraining()
    config.pretrain_legacy.model.text_positions = "zero"
    config.temporal_images = temporal_images()
    config.temporal_sentences = reading("temporal_sentences")
    config.sentences_legacy = reading("temporal_sentences")
    config.sentences_legacy.init_from = "pretrain_legacy"
    config.zeroshot_rsna = zero_shot()
    config.pairwise = pairwise_classifying()
    for percent in PERCENTS:
        config[f"covidx_{percent}"] = probing("covidx", percent / 100)
        config[f"covidx_finetune_{percent}"] = fine_tuning("covidx", percent / 100)
        for films in ("siim", "rsna"):
            config[f"segment_{films}_{percent}"] = segmenting(films, percent / 100)
        for films in ("chexpert", "rsna"):
            config[f"probe_{films}_{percent}"] = probing_mgca(films, percent / 100)
        config[f"detect_rsna_{percent}"] = detecting("rsna", percent / 100)

    # Every stage once for each seed; (): only for `seed` above. One after another ("loop"), all in
    # one compiled step ("vmap"), or as is faster: vmap on accelerators, else loop ("auto").
    config.replicas = ConfigDict({"seeds": (), "run": "loop"})

    config.evaluation = ConfigDict({"resamples": 1000})  # bootstrap, 95 % intervals; 0: none
    config.evaluation.temporal_image_folds = "patient"  # or "row": a patient on both sides
    # The threshold of sentences: of each fold's training part, or of the best fold on all pairs.
    config.evaluation.similarity_threshold = "train_folds"  # or "best_fold_on_all"
    config.evaluation.prompt_joiner = " "  # or "": sentences of a text run together
    config.evaluation.zero_shot_auc = "score"  # or "hard": of decisions
    config.evaluation.detection_map = "standard"  # or "films_with_both": boxes and detections

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
    """Return the stage that brings films and reports together."""
    s = reading("pretrain")
    # None: random. image_encoder/network:DIR: a converted vision transformer, such as DeiT's.
    # DIR: converted weights of MedST, or of MGCA, of which both encoders are taken.
    s.init_from = config_dict.placeholder(object)
    s.view_expert_init = "copy"  # lateral experts start as the frontal ones; or "random"
    s.keep_pretrained_init = True  # False: encoders of other files are drawn anew
    s.model.freeze_text = False
    x = s.loss = ConfigDict({"lambda_ita": 1.0, "lambda_local": 1.0, "lambda_temporal": 1.0})
    x.lambda_proto = 1.0  # of MGCA, in place of the temporal loss
    x.softmax_temperature = 0.07
    x.bidirectional = True  # patches are matched to words as well as words to patches
    x.update({"temporal_temperature": 0.1, "similarity": "l2", "regression": "mse_var"})
    x.update({"huber_delta": 2.0, "variance_lambda": 0.001})
    x.update({"prototype_temperature": 0.2, "epsilon": 0.05, "sinkhorn_iterations": 3})
    x.negatives = "global"  # or "per_group": of the same of model.groups parts of a batch
    x.sinkhorn_scope = "global"  # or "per_group"
    x.same_study_negatives = "excluded"  # or "included": a report is contrasted with itself
    s.optimizer = optimizer(4e-5, 0.05)
    s.optimizer.update({"warmup_fraction": 0.4, "least_learning_rate": 1e-8})
    s.optimizer.schedule_steps = "taken"  # or "before_sampler": as many as chunks fill batches
    s.optimizer.freeze_prototype_epochs = 1  # of MGCA
    s.train = training(epochs=8, batch=80, evaluation_batch=80)
    s.train.chunks = 20  # most sequences of a batch, those of one film too; 0: as many as fit
    s.train.lateral_share = 1.0  # of a batch's rows that have a place for a lateral film
    s.train.validation_drop_last = False
    s.train.patience = 5
    return s


def temporal_images() -> ConfigDict:
    """Return the stage that scores MS-CXR-T's films as published."""
    s = reading("temporal_images")
    s.folds = (5, 10)
    s.seeds = (42, 100, 666)
    return s


def zero_shot() -> ConfigDict:
    """Return the stage that tells RSNA's films by prompts."""
    s = reading("zero_shot")
    s.films = "rsna"
    s.label = "Pneumonia"
    s.positive_prompts = POSITIVE
    s.negative_prompts = NEGATIVE
    s.train.final_splits = ("validation", "test")
    return s


def pairwise_classifying() -> ConfigDict:
    """Return the stage that trains on pairs of films: not in the paper, whose films are alone."""
    s = ConfigDict({"kind": "pairwise"})
    s.model = ConfigDict({"backbone": "vit_base_patch16_224", "fusion_blocks": 2, "dropout": 0.1})
    s.init_from = config_dict.placeholder(object)  # one source, or parts, as here
    s.init_from = (("network", "pretrain", "image_encoder/network"),)
    s.optimizer = optimizer(1e-4, 0.05)
    s.optimizer.update({"schedule": "warmup_cosine", "warmup_steps": 0, "warmup_fraction": 0.1})
    s.optimizer.update({"warmup_learning_rate": 0.0, "final_learning_rate": 0.0})
    s.train = training(epochs=30, batch=32, evaluation_batch=64)
    s.train.backbone_trainable = True
    s.train.swap = True  # half of the pairs the other way round: what worsened improves
    s.train.prior_dropout = 0.1  # share of the pairs whose former film is taken away
    s.train.patience = 10
    return s


def probing(films: str, share: float) -> ConfigDict:
    """Return the stage that trains a linear layer on the frozen encoder."""
    s = ConfigDict({"kind": "classification", "films": films})
    s.labels = ()  # of the films; all
    # What uncertain labels count as; others are left out.
    s.update({"uncertain_positive": (), "uncertain_negative": ()})
    s.model = ConfigDict({"backbone": "vit_base_patch16_224", "width": 64})
    s.model.resnet_side = 299  # pixels to which a ResNet's films are brought
    s.model.update({"hidden": 0, "dropout": 0.0})  # of a layer between; 0: none
    s.model.update({"batch_statistics": "global", "groups": 1})
    s.init_from = config_dict.placeholder(object)  # one source, or parts, as here
    s.init_from = (("encoder/network", "pretrain", "image_encoder/network"),)
    s.optimizer = optimizer(5e-4, 1e-6)
    s.optimizer.schedule = "constant"
    s.train = training(epochs=200, batch=96, evaluation_batch=96)
    s.train.patience = 10
    s.train.backbone_trainable = False
    # Of training films, as in MoCo v2: another brightness and contrast, a blur (pixels), a flip.
    a = s.train.augment = ConfigDict({"jitter_probability": 0.0, "jitter": 0.4})
    a.update({"blur_probability": 0.0, "blur": (0.1, 2.0), "flip_probability": 0.0})
    s.train.train_fraction = share  # of the training films
    s.train.train_fraction_seed = 42
    return s


def probing_mgca(films: str, share: float) -> ConfigDict:
    """Return MGCA's stage that trains a linear layer on the frozen encoder."""
    s = probing(films, share)
    s.train.update({"epochs": 50, "global_batch_size": 48, "evaluation_batch_size": 48})
    if films == "chexpert":  # the labels of its competition
        s.uncertain_positive = ("Atelectasis", "Edema", "Pleural Effusion")
        s.uncertain_negative = ("Cardiomegaly", "Consolidation")
        s.labels = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
        s.train.augment.update({"jitter_probability": 0.8, "blur_probability": 0.5})
        s.train.augment.flip_probability = 0.5
    return s


def fine_tuning(films: str, share: float) -> ConfigDict:
    """Return the stage that trains all of the encoder: not in the paper."""
    s = probing(films, share)
    s.optimizer = optimizer(5e-5, 0.05)
    s.optimizer.update({"schedule": "warmup_cosine", "warmup_steps": 0, "warmup_fraction": 0.1})
    s.optimizer.update({"warmup_learning_rate": 0.0, "final_learning_rate": 0.0})
    s.train.update({"backbone_trainable": True, "epochs": 50, "global_batch_size": 48})
    return s


def segmenting(films: str, share: float) -> ConfigDict:
    """Return MGCA's stage that learns a mask on the frozen encoder.

    SETR of a vision transformer, a U-Net of a ResNet.
    """
    siim = films == "siim"
    s = ConfigDict({"kind": "segmentation", "films": films})
    s.finding = "Pneumothorax" if siim else "Pneumonia"
    s.model = ConfigDict({"backbone": "vit_base_patch16_224", "width": 64})
    s.model.setr_features = (512, 256, 128, 64)  # channels; as many as halve a patch to a pixel
    s.model.unet_features = (256, 128, 64, 32, 16)
    s.model.update({"batch_statistics": "global", "groups": 1})
    s.init_from = config_dict.placeholder(object)  # one source, or parts, as here
    s.init_from = (("network", "pretrain", "image_encoder/network"),)
    s.loss = ConfigDict({"focal_weight": 10.0, "focal_gamma": 2.0, "dice_smooth": 1.0})
    s.optimizer = optimizer(5e-4, 0.05)  # of the published script; its program's own is 2e-4
    s.optimizer.schedule = "constant"
    batch = 8 if siim else 16
    s.train = training(epochs=50, batch=batch, evaluation_batch=batch)
    s.train.patience = 10
    s.train.train_fraction = share  # of the training films
    s.train.train_fraction_seed = 42
    # "as_positives": as many films without the finding as there are with it; "all"
    s.train.negatives = "as_positives" if siim else "all"
    s.train.turn = ConfigDict({"probability": 0.5 if siim else 0.0, "degrees": 10.0})
    s.train.turn.update({"scale": 0.1, "shift": 0.0})
    s.overlays = 8  # films with what was found drawn over them; 0: none
    return s


def detecting(films: str, share: float) -> ConfigDict:
    """Return MGCA's stage that learns boxes on the frozen ResNet."""
    few = share <= 0.01
    s = ConfigDict({"kind": "detection", "films": films, "finding": "Pneumonia"})
    s.model = ConfigDict({"backbone": "resnet50", "width": 64})
    s.model.neck_widths = (512, 256, 128)  # channels of each scale, the coarsest first
    s.model.update({"batch_statistics": "global", "groups": 1})
    s.init_from = config_dict.placeholder(object)  # one source, or parts, as here
    s.init_from = (("network", "pretrain", "image_encoder/network"),)
    s.loss = ConfigDict({"box_weight": 2.5, "nothing_weight": 0.5, "ignored_overlap": 0.5})
    s.optimizer = optimizer(2e-4 if few else 5e-4, 1e-6)
    s.optimizer.schedule = "constant"
    batch = 8 if few else 16
    s.train = training(epochs=50, batch=batch, evaluation_batch=batch)
    s.train.update({"monitor": "map", "monitor_mode": "max", "patience": 10})
    s.train.train_fraction = share  # of the training films
    s.train.train_fraction_seed = 42
    # Of overlapping boxes the most confident is kept, of these the most confident of a film.
    s.suppression = ConfigDict({"confidence": 0.5, "overlap": 0.5, "most": 100})
    s.overlays = 8  # films with what was found drawn over them; 0: none
    return s


def reading(kind: str) -> ConfigDict:
    """Return what every stage has that uses the pre-training's network: the published one."""
    s = ConfigDict({"kind": kind})
    m = s.model = ConfigDict({"method": "medst"})  # or "mgca"
    m.backbone = "vit_base_patch16_224"  # MGCA also "resnet50"
    m.width = 64  # channels of a ResNet's first stage
    m.resnet_side = 299  # pixels to which a ResNet's films are brought
    m.update({"dim": 128, "head_hidden": 2048})
    m.text = ConfigDict({"layers": 6, "width": 768, "heads": 12, "feedforward": 3072})
    m.text.update({"max_positions": 512, "dropout": 0.1})
    m.text_positions = "sequential"  # or "zero": a bag of words
    m.word_aggregation = "complete"  # or "truncated": the last word may be lost
    m.update({"local_temperature": 0.1, "attention_heads": 1, "attention_layers": False})
    m.normalize_patch_context = True
    m.mask_padding_words = True
    m.mask_missing_lateral = True
    m.prototypes = 500  # of MGCA
    m.update({"batch_statistics": "global", "groups": 1})  # or "per_group": `groups` equal parts
    s.init_from = "pretrain"
    s.train = ConfigDict({"evaluation_batch_size": 96, "final_splits": ("all",)})
    return s


def optimizer(rate: float, decay: float) -> ConfigDict:
    """Return AdamW; all parameters decay, as published."""
    o = ConfigDict({"name": "adamw", "learning_rate": rate, "b1": 0.9, "b2": 0.999, "eps": 1e-8})
    o.update({"weight_decay": decay, "decay_rule": "all", "momentum": 0.0, "clip_norm": 0.0})
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
    small(config, epochs=1)
    config.data.demo.update({"patients": 60, "rsna": 30, "covidx": 30, "width": 40})
    config.data.demo.update({"siim": 30, "chexpert": 30})
    config.data.image.update({"canvas": 40, "crop": 32})
    config.data.max_tokens = 32
    config.evaluation.resamples = 20
    config.fast_compilation = True
    for name in NETWORKS:
        config[name].model.update({"backbone": "vit_pico_patch8", "dim": 8, "head_hidden": 16})
        config[name].model.text.update({"layers": 1, "width": 16, "heads": 2, "feedforward": 32})
    for name in SEGMENTING:
        config[name].model.update({"backbone": "vit_pico_patch8", "setr_features": (8, 8, 8)})
        config[name].model.unet_features = (8,) * 5
    for name in DETECTING:
        config[name].model.neck_widths = (8, 8, 8)
    config.temporal_images.update({"folds": (2,), "seeds": (42,)})
    config.pairwise.train.epochs = 1
    config.pairwise.model.update({"backbone": "vit_pico_patch8", "fusion_blocks": 1})


def demo(config: ConfigDict) -> None:
    """Invented patients seen again and again, small networks: minutes on two cores (default)."""
    config.size = "demo"
    small(config, epochs=8)
    for name in PRETRAINING:
        config[name].train.epochs = 14


def small(config: ConfigDict, epochs: int) -> None:
    """Shrink every stage."""
    config.text.vocabulary = "captions"
    config.data.image.update({"canvas": 66, "crop": 64})
    config.data.max_tokens = 40
    config.loader.threads = 2
    for name in NETWORKS:
        config[name].model.update({"backbone": "vit_nano_patch16", "dim": 64, "head_hidden": 128})
        config[name].model.text.update({"layers": 2, "width": 64, "heads": 8, "feedforward": 256})
        config[name].model.text.update({"max_positions": 64, "dropout": 0.0})
        config[name].model.prototypes = 32
    for name in PRETRAINING:
        config[name].optimizer.update(
            {"learning_rate": 1e-3, "warmup_fraction": 0.1, "clip_norm": 1.0}
        )
        config[name].train.update({"epochs": epochs, "global_batch_size": 32, "chunks": 0})
        config[name].train.update({"evaluation_batch_size": 32, "lateral_share": 0.75})
        # At 0.1 the variance that mse_var divides by all but vanishes while weights are random,
        # and its gradients drown all others.
        config[name].loss.temporal_temperature = 0.5
    for name in CLASSIFYING:
        config[name].model.backbone = "vit_nano_patch16"
        config[name].train.update({"epochs": 2 * epochs, "global_batch_size": 32})
        config[name].train.augment.blur = (0.1, 0.6)
        config[name].optimizer.learning_rate = 1e-3
    for name in PROBES:
        config[name].train.update({"epochs": 5 * epochs, "patience": 0})
        config[name].optimizer.learning_rate = 1e-2
    for name in SEGMENTING:
        config[name].model.update(
            {"backbone": "vit_nano_patch16", "setr_features": (64, 32, 16, 8)}
        )
        config[name].model.unet_features = (64, 32, 16, 8, 8)
        config[name].train.update({"epochs": 2 * epochs, "patience": 0})
        config[name].optimizer.learning_rate = 2e-3
    for name in DETECTING:
        config[name].model.update({"backbone": "resnet10", "neck_widths": (64, 32, 16)})
        config[name].train.update({"epochs": 2 * epochs, "patience": 0})
        config[name].optimizer.learning_rate = 2e-3
    config.pairwise.model.backbone = "vit_nano_patch16"
    config.pairwise.optimizer.learning_rate = 2e-3
    config.pairwise.train.update({"epochs": 3 * epochs, "global_batch_size": 32, "patience": 0})
    config.temporal_images.update({"folds": (5,), "seeds": (42,)})


def published(config: ConfigDict) -> None:
    """The paper's recipe: needs data.dir, text.bert_dir and the folders of the tasks."""
    config.size = "published"


# Tasks


def pretrain(config: ConfigDict) -> None:
    """Pre-training alone."""
    config.stages = ("pretrain",)


def temporal(config: ConfigDict) -> None:
    """Pre-training, then MS-CXR-T: change told from films, and sentences of a change."""
    config.stages = ("pretrain", "temporal_images", "temporal_sentences")


def zeroshot_rsna(config: ConfigDict) -> None:
    """Pre-training, then pneumonia told by prompts."""
    config.stages = ("pretrain", "zeroshot_rsna")


def pairwise(config: ConfigDict) -> None:
    """Pre-training, then an encoder of pairs of films beside the published scoring."""
    config.stages = ("pretrain", "temporal_images", "pairwise")


def covidx(config: ConfigDict) -> None:
    """Pre-training, then a linear layer on 1, 10 and 100 % of COVIDx's training films."""
    config.stages = ("pretrain", *(f"covidx_{percent}" for percent in PERCENTS))


def covidx_finetune(config: ConfigDict) -> None:
    """Pre-training, then the whole encoder on 1, 10 and 100 % of COVIDx's training films."""
    config.stages = ("pretrain", *(f"covidx_finetune_{percent}" for percent in PERCENTS))


def probe_chexpert(config: ConfigDict) -> None:
    """Pre-training, then a linear layer on 1, 10 and 100 % of CheXpert's training films."""
    config.stages = ("pretrain", *(f"probe_chexpert_{percent}" for percent in PERCENTS))


def probe_rsna(config: ConfigDict) -> None:
    """Pre-training, then a linear layer on 1, 10 and 100 % of RSNA's training films."""
    config.stages = ("pretrain", *(f"probe_rsna_{percent}" for percent in PERCENTS))


def segment_siim(config: ConfigDict) -> None:
    """Pre-training, then masks of pneumothorax on 1, 10 and 100 % of SIIM's training films."""
    config.stages = ("pretrain", *(f"segment_siim_{percent}" for percent in PERCENTS))


def segment_rsna(config: ConfigDict) -> None:
    """Pre-training, then masks of pneumonia on 1, 10 and 100 % of RSNA's training films."""
    config.stages = ("pretrain", *(f"segment_rsna_{percent}" for percent in PERCENTS))


def detect_rsna(config: ConfigDict) -> None:
    """MGCA's pre-training on a ResNet, then boxes on 1, 10 and 100 % of RSNA's training films."""
    resnet50(config)
    config.stages = ("pretrain", *(f"detect_rsna_{percent}" for percent in PERCENTS))


def word_order(config: ConfigDict) -> None:
    """The text encoder with positions and without them, each pre-trained, on pairs of sentences."""
    config.stages = ("pretrain", "temporal_sentences", "pretrain_legacy", "sentences_legacy")


# Methods


def mgca(config: ConfigDict) -> None:
    """MGCA (Wang and others, NeurIPS 2022): frontal films alone, prototypes, no time."""
    for name in NETWORKS:
        config[name].model.method = "mgca"
    for name in PRETRAINING:
        config[name].train.chunks = 0
        if config.size == "published":
            config[name].train.update({"epochs": 50, "global_batch_size": 72})
            config[name].optimizer.learning_rate = 2e-5


def resnet50(config: ConfigDict) -> None:
    """MGCA on a ResNet-50, the other of its image encoders; a small one in small runs."""
    mgca(config)
    small = {"smoke": ("resnet10", 4), "demo": ("resnet10", 16)}
    backbone, width = small.get(config.size, ("resnet50", 64))
    for name in (*NETWORKS, *CLASSIFYING, *SEGMENTING, *DETECTING):
        model = config[name].model
        model.update({"backbone": backbone, "width": width})
        if config.size in small and "resnet_side" in model:
            model.resnet_side = config.data.image.crop


PERCENTS = (1, 10, 100)
"""Shares of the training films at which every task is learned."""
COVIDX = tuple(f"covidx{kind}_{n}" for kind in ("", "_finetune") for n in PERCENTS)
PROBES = tuple(f"probe_{films}_{n}" for films in ("chexpert", "rsna") for n in PERCENTS)
CLASSIFYING = (*COVIDX, *PROBES)
SEGMENTING = tuple(f"segment_{films}_{n}" for films in ("siim", "rsna") for n in PERCENTS)
DETECTING = tuple(f"detect_rsna_{n}" for n in PERCENTS)
PRETRAINING = ("pretrain", "pretrain_legacy")
READING = ("temporal_images", "temporal_sentences", "sentences_legacy", "zeroshot_rsna")
NETWORKS = (*PRETRAINING, *READING)
SIZES = (smoke, demo, published)
TASKS = (
    *(pretrain, temporal, zeroshot_rsna, pairwise, word_order, covidx, covidx_finetune),
    *(probe_chexpert, probe_rsna, segment_siim, segment_rsna, detect_rsna),
)
METHODS = (mgca, resnet50)
WORDS = {f.__name__: f for f in (*SIZES, *TASKS, *METHODS)}
GROUPS = {"task": tuple(f.__name__ for f in TASKS), "method": ("mgca", "resnet50")}
