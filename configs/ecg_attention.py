"""ECG dual attention (Chen and others, 2025): words after the colon choose size, signal and run.

    configs/ecg_attention.py                              the demo: invented hearts, minutes
    configs/ecg_attention.py:published                    the paper's recipe on prepared PTB-XL

The base below is the published recipe; `smoke` and `demo` make it small.
"""

from ml_collections import ConfigDict, config_dict

from medjax.systems.ecg_attention.choices import CHOICES as CHOICES
from medjax.systems.ecg_attention.finish import finish as finish


def get_config() -> ConfigDict:
    """ECG dual attention: pre-training with text, then the risk of an event from one ECG."""
    config = ConfigDict()
    config.system = "ecg_attention"
    config.size = "published"  # set by the words smoke, demo and published
    config.seed = 72
    # "default" is what is right; "published" sets every quirk listed in
    # medjax/systems/ecg_attention/published.py.
    config.compat = "default"
    config.stages = ("pretrain", "risk")

    config.data = ConfigDict()
    # Prepared recordings (PTB-XL or others) for pre-training and probe; no folder at all: the demo.
    config.data.dir = config_dict.placeholder(str)
    config.data.text_dir = config_dict.placeholder(str)  # their text embeddings (ecg_text)
    config.data.risk_dir = config_dict.placeholder(str)  # prepared with event and duration
    config.data.biomarkers = config_dict.placeholder(str)  # CSV of the risk cohort: id, numbers
    config.data.signal = "median"  # beats of 1.2 s at 500 Hz; or "rhythm", strips of 10 s
    config.data.leads = 12  # or 8: I, II, V1 to V6
    # "device": the samples lie there as int16 and are cleaned there; "host": batch by batch.
    config.data.residence = "host"
    config.data.demo = ConfigDict({"patients": 800, "subjects": 900, "seed": 7})
    config.data.demo.update({"sampling_rate": 125, "risk": "learnable"})  # Hz; or "random"
    config.data.time_unit = "month"  # of times to the event: 30 days; or "day", "year": 365
    config.fold = 0  # which of the folds of the risk cohort is the test

    config.pretrain = pretraining()
    config.probe = probing()
    config.risk = risk_regression()
    config.biomarkers = biomarker_regression()

    # Every stage once for each seed and fold; (), 0: only for `seed` and `fold` above. One after
    # another ("loop"), all in one compiled step ("vmap"), or that on accelerators only ("auto").
    config.replicas = ConfigDict({"seeds": (), "folds": 0, "run": "loop"})
    config.replicas.stages = ("risk",)  # others once, shared by all copies; (): all of them

    config.evaluation = ConfigDict({"resamples": 1000})  # bootstrap, 95 % intervals; 0: none
    config.evaluation.horizons = (12.0, 36.0, 60.0)  # for AUC, Brier score, survival; time_unit
    config.evaluation.reconstructions = 64  # recordings of a split for time warping and pictures

    # Patients of a split with a page; above which percentile risk is high; of what.
    config.explain = ConfigDict({"pages": 3, "high_risk_percentile": 96.0, "event": "the event"})
    # "first": lead I paints every lead; "batch": BatchNorm by the one record; both as published.
    config.explain.update({"saliency_input_lead": "own", "saliency_batchnorm": "eval"})

    config.inspect_model = False  # time some steps on a copy of the weights before training
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
    """Return the stage that reconstructs masked ECGs and aligns them with text."""
    s = stage("pretrain")
    s.optimizer.update({"name": "adamw", "learning_rate": 1e-3, "b1": 0.9, "b2": 0.95})
    s.optimizer.update({"weight_decay": 0.01, "schedule": "warmup_cosine", "warmup_fraction": 0.2})
    s.loss = ConfigDict({"reconstruction_weight": 1.0})  # 0: none ("no_recon")
    s.loss.kl_weight = 1e-4  # of variational networks
    # "cosine" knows only pairs that belong together; "infonce" and "siglip" also those that do
    # not, so that the projections cannot collapse; "none" needs no text.
    s.loss.alignment_loss = "cosine"
    s.loss.alignment_weight = 1.0
    s.loss.superclass_weight = 0.0  # 1: a classifier of the labels beside ("recon_classification")
    s.loss.auroc_class_names = "sorted"  # as the columns are; "unsorted" misnames them
    s.augment = ConfigDict({"mask_whole_lead_prob": 0.5})  # that one of six sets is shown alone
    # Strips alone; finish() sets the last two to 0 for median beats.
    s.augment.lead_mask_prob = 0.2  # that a lead is masked around R peaks
    s.augment.region_mask_prob = 0.2  # of each of its R peaks
    s.augment.random_drop_half_prob = 0.2  # that such a lead loses a half
    s.augment.mask_length_range = (0.08, 0.18)  # seconds
    s.augment.region_mask_min_samples = 0  # published 80, which overrules the range
    s.augment.mask_value = 0.0
    s.augment.mask_shows_regions = False  # True: the network is told of regions as of leads
    s.augment.distortion = ConfigDict({"probability": 0.0})  # of noise on a lead; amplitudes in SD
    s.augment.distortion.update({"noise_amplitude": (0.0, 0.2), "powerline_amplitude": (0.0, 0.05)})
    s.augment.distortion.noise_frequency = (5.0, 20.0, 100.0, 150.0, 175.0)  # Hz
    s.augment.distortion.update({"powerline_frequency": (5.0, 10.0), "artifacts_number": 3})
    s.augment.distortion.update({"artifacts_amplitude": (0.0, 0.3), "drift_amplitude": (0.0, 0.5)})
    s.augment.distortion.artifacts_frequency = (5.0, 10.0)  # Hz
    s.train.update({"epochs": 300, "global_batch_size": 128, "evaluation_batch_size": 128})
    # "val_loss": reconstruction; "val_alignment", "val_retrieval" (mean reciprocal rank of texts).
    s.train.best_checkpoint_metric = "val_loss"
    return s


def probing() -> ConfigDict:
    """Return the stage that fits a logistic regression a label on the frozen encoder."""
    s = stage("probe")
    s.init_from = (("encoder", "pretrain"),)
    # Tried in turn; the best macro AUROC of the validation split counts.
    s.probe = ConfigDict({"inverse_penalties": (1e-3, 1e-2, 1e-1, 1.0)})
    s.train.update({"evaluation_batch_size": 128, "monitor": "auroc/macro", "monitor_mode": "max"})
    return s


def risk_regression() -> ConfigDict:
    """Return the stage that learns the time to an event from one ECG."""
    s = stage("risk")
    del s.input  # z-scores, never cleaned
    s.init_from = (("encoder", "pretrain"), ("decoder", "pretrain"))
    s.model.batchwise_dropout = True
    s.model.risk_hidden = 3  # units that the risk is read from
    # Test parts of a cross-validation, events in proportion; 0: the splits of the prepared set.
    s.data = ConfigDict({"folds": 2})
    s.data.validation_share = 0.2  # of what is not for the test
    s.optimizer.update({"learning_rate": 1e-4, "clip_norm": 100.0})
    s.optimizer.lr_finder = "off"  # a test of rates first; "use" its suggestion, or "report" it
    s.loss = ConfigDict({"alpha": 0.5})  # weight of the Cox loss; 1 - alpha: of reconstruction
    s.loss.risk_recon_target = "unmasked_input"  # or "masked_input": hidden leads are zeros
    s.loss.cox_normaliser = "risk_set"  # exact; "batch_max": shifted by the batch's highest score
    s.loss.cox_ties = "breslow"  # or "efron"
    s.train.update({"epochs": 100, "monitor": "c_index", "monitor_mode": "max"})
    s.train.stratified = True  # as many events in every batch
    s.train.hide_leads = True  # one of six sets of leads is shown in a step
    s.train.freeze_encoder = False
    s.train.freeze_encoder_scope = "all"  # or "weights": BatchNorm and dropout go on
    return s


def biomarker_regression() -> ConfigDict:
    """Return the baseline: Cox regression on a table of biomarkers, in the folds of `risk`."""
    s = ConfigDict({"kind": "biomarkers", "data": {"folds": 2, "validation_share": 0.2}})
    s.init_from = config_dict.placeholder(object)
    s.penalties = tuple(10 ** (i / 7 - 2) for i in range(50))  # best C-index on validation counts
    s.train = ConfigDict({"evaluation_batch_size": 1024, "final_splits": ("validation", "test")})
    return s


def stage(kind: str) -> ConfigDict:
    """Return what all stages have."""
    s = ConfigDict()
    s.kind = kind
    s.model = model()
    # "target_only": the network sees the recording itself; "shared": the cleaned target.
    s.input = ConfigDict({"input_cleaning": "target_only"})
    s.input.input_standardise = "once_before_masking"  # or "again_after_masking"
    # None: every recording is standardised; else not those whose samples sum to less than this.
    s.input.skip_below_sum = config_dict.placeholder(float)
    # None: fresh weights; a stage of this run, a run, `run@step`, or a folder of converted weights
    # (`python -m medjax.convert`); or parts of the network: encoder:SOURCE,decoder:SOURCE.
    s.init_from = config_dict.placeholder(object)
    s.optimizer = ConfigDict({"name": "adamw", "learning_rate": 1e-3, "b1": 0.9, "b2": 0.999})
    s.optimizer.update({"eps": 1e-8, "weight_decay": 0.01, "momentum": 0.0, "clip_norm": 0.0})
    s.optimizer.schedule = "constant"  # or "warmup_cosine", with the four below
    s.optimizer.update({"warmup_steps": 0, "warmup_fraction": 0.0})  # steps, or a share of all
    s.optimizer.update({"warmup_learning_rate": 0.0, "final_learning_rate": 0.0})
    s.train = ConfigDict({"epochs": 1, "global_batch_size": 128, "evaluation_batch_size": 128})
    s.train.accumulation = 1
    s.train.evaluate_every = 1  # epochs
    s.train.validation_split = "validation"
    s.train.final_splits = ("validation", "test")
    s.train.update({"monitor": "loss", "monitor_mode": "min"})
    s.train.patience = 0  # evaluations without a better monitored value; 0: never stop early
    s.train.plateau = ConfigDict({"factor": 1.0, "patience": 10, "threshold": 1e-4})
    s.train.epoch_order = "train_then_validate"
    s.train.on_not_finite = "stop"  # or "skip"
    s.train.save_every = 1000  # steps, besides at every evaluation; 0: only there
    s.train.log_every = 10  # steps
    return s


def model() -> ConfigDict:
    """Return the published network, "ECG_attention_512"."""
    m = ConfigDict()
    m.network = "dual_attention"  # or the baselines "marcel_vae", "xresnet1d101"
    m.leads = 12  # as config.data.leads
    m.time_steps = 608  # a multiple of 2^down_blocks; recordings are padded to it
    m.base_features = 4
    m.update({"down_blocks": 5, "up_blocks": 5})  # each halves, or doubles, time
    m.pool_dim = 512  # width after pooling
    m.latent_dim = 512  # width of z; of pool_dim unless latent_linear
    m.latent_linear = False  # a linear layer from pool_dim to latent_dim
    m.decoder_linears = 2  # or 1
    m.variational = False
    m.latent_sample_in_eval = False  # True: z is drawn in evaluation too, as published
    m.time_code = False  # a position code beside the stem's output
    m.add_time_mask = True  # which is 0 where the signal is masked
    m.update({"lead_attention": True, "time_attention": True})
    m.serial_attention = False  # True: lead attention reads what time attention gives
    m.ablated_lead_branch = "duplicate"  # without lead attention: time attention twice, or once
    m.lead_mask = False  # True: masked leads are no keys of lead attention
    m.lead_mask_assignment = "per_sample"  # "heads_first": those of other samples, as published
    m.stem_channel_order = "lead_major"  # "feature_major": row l is not lead l, as published
    m.dropout = 0.2
    m.batchwise_dropout = False  # one mask for the whole batch
    m.dropout_placement = "uniform"  # one kind everywhere; "published": mixed
    m.norm_output = False  # give each reconstructed lead zero mean and unit variance
    m.decoder = "ms_resnet"  # of xresnet1d101; or "linear", "attention_decoder"
    return m


# Sizes


def smoke(config: ConfigDict) -> None:
    """The smallest run, about half a minute with compilation, for tests."""
    config.size = "smoke"
    small(config, patients=60, steps=160, rate=125, epochs=1, batch=8)
    config.evaluation.update({"resamples": 20, "reconstructions": 1})
    config.fast_compilation = True
    config.update_from_flattened_dict({"data.demo.subjects": 80, "explain.pages": 1})
    config.risk.train.epochs = 1
    for s in (config.pretrain, config.probe, config.risk):
        s.model.update({"base_features": 2, "pool_dim": 32, "latent_dim": 32})
        s.model.update({"down_blocks": 2, "up_blocks": 2})


def demo(config: ConfigDict) -> None:
    """Invented hearts, beats at 125 Hz: minutes on two cores (the default)."""
    config.size = "demo"
    small(config, patients=800, steps=160, rate=125, epochs=10, batch=32)


def small(
    config: ConfigDict, patients: int, steps: int, rate: int, epochs: int, batch: int
) -> None:
    """Shrink every stage."""
    config.data.demo.update({"patients": patients, "sampling_rate": rate})
    config.loader.threads = 2
    for s in (config.pretrain, config.probe, config.risk):
        s.model.update({"time_steps": steps, "pool_dim": 128, "latent_dim": 128})
        s.model.update({"down_blocks": 4, "up_blocks": 4})
        s.train.update({"global_batch_size": batch, "evaluation_batch_size": 64})
    config.pretrain.train.epochs = epochs
    config.pretrain.optimizer.learning_rate = 2e-3
    # With the published cosine loss the projections of so few records collapse onto one point.
    config.pretrain.loss.alignment_loss = "infonce"
    config.explain.high_risk_percentile = 80.0
    config.risk.train.epochs = epochs
    config.risk.optimizer.learning_rate = 1e-3


def published(config: ConfigDict) -> None:
    """The paper's recipe on prepared data: needs data.dir and data.text_dir."""
    config.size = "published"


# Signals and networks


def median(config: ConfigDict) -> None:
    """Median beats of 1.2 s at 500 Hz, as PTB-XL+ has them (the default)."""
    config.data.signal = "median"


def rhythm(config: ConfigDict) -> None:
    """Strips of 10 s at 100 Hz."""
    config.data.signal = "rhythm"
    config.data.demo.sampling_rate = 100
    for s in (config.pretrain, config.probe, config.risk):
        s.model.update({"time_steps": 1024, "down_blocks": 5, "up_blocks": 5})


def no_lead_attention(config: ConfigDict) -> None:
    """Ablation: attention over time alone."""
    networks(config, lead_attention=False)


def no_time_attention(config: ConfigDict) -> None:
    """Ablation: attention over leads alone."""
    networks(config, time_attention=False)


def no_attention(config: ConfigDict) -> None:
    """Ablation: the residual encoder alone."""
    networks(config, lead_attention=False, time_attention=False)


def marcel_vae(config: ConfigDict) -> None:
    """Baseline: a variational autoencoder of two convolutions."""
    networks(config, network="marcel_vae")


def xresnet1d101(config: ConfigDict) -> None:
    """Baseline: xresnet1d101 with the decoder of residual blocks; its z has 512 numbers."""
    networks(config, network="xresnet1d101", latent_dim=512, pool_dim=512)


def networks(config: ConfigDict, **fields: bool | int | str) -> None:
    """Set fields of the network in every stage."""
    for s in (config.pretrain, config.probe, config.risk):
        s.model.update(fields)


# Runs


def risk(config: ConfigDict) -> None:
    """Pre-training with text, then the risk of an event from one ECG (the default run)."""


def risk_mi(config: ConfigDict) -> None:
    """The paper's experiment after myocardial infarction: five seeds, two folds, batches of 128."""
    experiment(config, batch=128, percentile=96.0)


def risk_hyp(config: ConfigDict) -> None:
    """The paper's experiment with hypertension: the same with batches of 1024."""
    experiment(config, batch=1024, percentile=98.0)


def experiment(config: ConfigDict, batch: int, percentile: float) -> None:
    """One pre-training, then one fit a seed and fold; small sizes keep their batches."""
    config.stages = ("pretrain", "risk")
    config.replicas.update({"seeds": SEEDS, "folds": 2, "run": "auto"})
    if config.size == "published":
        config.risk.train.global_batch_size = batch
        config.explain.high_risk_percentile = percentile
    elif config.size == "smoke":
        config.replicas.seeds = SEEDS[:1]


def biomarkers(config: ConfigDict) -> None:
    """The baseline: Cox regression on biomarkers; needs data.biomarkers and data.risk_dir."""
    config.stages = ("biomarkers",)


def dummy(config: ConfigDict) -> None:
    """Risk of noise with random outcomes and no pre-training: far from 0.5 means a leak."""
    config.stages = ("risk",)
    config.risk.init_from = None
    config.data.demo.risk = "random"
    config.evaluation.horizons = (1.0, 2.0, 3.0)  # months


def pretrain_text(config: ConfigDict) -> None:
    """Pre-training with structured text of the statements."""
    config.stages = ("pretrain",)


def cosine(config: ConfigDict) -> None:
    """The published alignment, which knows only pairs that belong together."""
    config.pretrain.loss.alignment_loss = "cosine"


def no_text(config: ConfigDict) -> None:
    """Pre-training by reconstruction alone."""
    config.pretrain.loss.alignment_loss = "none"


def superclasses(config: ConfigDict) -> None:
    """Pre-training by reconstruction and classification of the superclasses, without text."""
    config.pretrain.loss.update({"alignment_loss": "none", "superclass_weight": 1.0})


def infonce(config: ConfigDict) -> None:
    """Pre-training with InfoNCE in place of the cosine loss; best by retrieval."""
    config.pretrain.loss.alignment_loss = "infonce"
    config.pretrain.train.best_checkpoint_metric = "val_retrieval"


def siglip(config: ConfigDict) -> None:
    """Pre-training with SigLIP's loss in place of the cosine loss; best by retrieval."""
    config.pretrain.loss.alignment_loss = "siglip"
    config.pretrain.train.best_checkpoint_metric = "val_retrieval"


def probe(config: ConfigDict) -> None:
    """Pre-training, then a linear probe of the superclasses on the frozen encoder."""
    config.stages = ("pretrain", "probe")


SEEDS = (42, 2021, 2022, 2023, 2024)  # of the paper's two folds; of more it takes 2023 alone

SIZES = (smoke, demo, published)
SIGNALS = (median, rhythm)
NETWORKS = (
    *(no_lead_attention, no_time_attention, no_attention),
    *(marcel_vae, xresnet1d101),
)
RUNS = (
    *(risk, risk_mi, risk_hyp, biomarkers, dummy),
    *(pretrain_text, cosine, no_text, superclasses, infonce, siglip, probe),
)
WORDS = {f.__name__: f for f in (*SIZES, *SIGNALS, *NETWORKS, *RUNS)}
GROUPS = {
    "signal": tuple(f.__name__ for f in SIGNALS),
    "network": tuple(f.__name__ for f in NETWORKS),
    "run": ("risk", "risk_mi", "risk_hyp", "biomarkers", "dummy", "pretrain_text", "probe"),
    "pre-training": ("cosine", "no_text", "superclasses", "infonce", "siglip"),
}
