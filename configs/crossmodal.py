"""Cross-modal autoencoder (Radhakrishnan and others, 2023): words after the colon choose the size
and the run.

    configs/crossmodal.py                                 the demo: invented persons, minutes
    configs/crossmodal.py:published                       the paper's recipe on a prepared cohort

The base below is the published recipe; `smoke` and `demo` make it small.
"""

from ml_collections import ConfigDict, config_dict

from medjax.systems.crossmodal.choices import CHOICES as CHOICES
from medjax.systems.crossmodal.finish import finish as finish


def get_config() -> ConfigDict:
    """Cross-modal autoencoder: ECG and cardiac MRI, each alone, then paired in one latent space."""
    config = ConfigDict()
    config.system = "crossmodal"
    config.size = "published"  # set by the words smoke, demo and published
    config.seed = 12878
    # "default" is what is right; "published" (or "published_2023": the code of the paper and of
    # its weights) and "published_current" set every quirk listed in
    # medjax/systems/crossmodal/published.py.
    config.compat = "default"
    config.stages = ("ecg", "mri", "paired")

    config.data = ConfigDict()
    config.data.dir = config_dict.placeholder(str)  # of prepare ml4h_cohort; None: the demo
    # Median beats of another source for the stage `ecg`, as `prepare ptbxl --signal=median
    # --sampling_rate=500` writes them.
    config.data.ecg_dir = config_dict.placeholder(str)
    config.data.residence = "host"  # or "device": all signals lie there
    config.data.demo = ConfigDict({"persons": 900, "seed": 7, "ecg_samples": 600})
    config.data.demo.update({"mri_edge": 96, "mri_frames": 50})
    config.data.demo.update({"valid_ratio": 0.1, "test_ratio": 0.1})

    config.ecg = autoencoder("ecg", ecg_network())
    config.mri = autoencoder("mri", mri_network())
    config.paired = pairing()
    config.latents = latents()

    config.replicas = ConfigDict({"seeds": (), "folds": 0, "run": "loop"})
    config.replicas.stages = ()  # which are repeated; (): all of them

    config.evaluation = ConfigDict({"resamples": 1000})  # bootstrap, 95 % intervals; 0: none
    # "all": every held-out participant once; "steps": as many drawn batches as train says.
    config.evaluation.coverage = "all"
    config.evaluation.pictures = 4  # participants of a split whose signals are drawn
    config.evaluation.probes = ("ridge", "logistic", "kernel_ridge")  # fitted on latents; (): none
    config.evaluation.probe_folds = 5
    config.evaluation.probe_splits = ("test",)  # whose latents and phenotypes are cross-validated
    config.evaluation.map = "tsne"  # of latents, in two dimensions; or "pca"
    config.evaluation.tsv_style = "standard"  # of latent files; or "genetics": FID and IID

    config.inspect_model = False  # draw the networks, time some steps on a copy of the weights
    config.precision = "float32"  # or "bfloat16": compute only; weights and losses stay float32
    config.matmul_precision = "default"  # "highest" for exact float32 on accelerators
    config.fast_compilation = False  # compile quickly rather than well: for the shortest runs
    config.sharding = ConfigDict({"parameters": "replicated"})  # or "sharded" over the devices
    config.loader = ConfigDict({"threads": 4, "workers": 0})
    config.distributed = False
    config.require_accelerator = False
    return config


# Networks


def ecg_network() -> ConfigDict:
    """Return the published autoencoder of median beats [600, 12]."""
    n = network()
    n.update({"activation": "mish", "conv_layers": (23, 23), "dense_blocks": (46,)})
    n.update({"block_size": 5, "conv_width": (71,), "pool_type": "max"})
    return n


def mri_network() -> ConfigDict:
    """Return the published autoencoder of cines [96, 96, 50]: the frames are channels."""
    n = network()
    n.update({"activation": "gelu", "conv_layers": (24, 24), "dense_blocks": (40, 40, 40)})
    n.update({"block_size": 3, "conv_x": (3,), "conv_y": (3,), "pool_type": "average"})
    return n


def network() -> ConfigDict:
    """Return what both networks have, and the published defaults of the rest."""
    n = ConfigDict()
    n.activation = "swish"  # by its name in Keras
    n.gelu_approximate = False  # True: gelu by tanh
    n.conv_layers = (32,)  # channels of the residual stack
    n.dense_blocks = (32, 32, 32)  # channels of the blocks, each behind a pooling
    n.block_size = 3  # convolutions of a block
    n.conv_width = (71,)  # kernel widths of beats, a number a layer, repeated
    n.update({"conv_x": (3,), "conv_y": (3,), "conv_z": (2,)})  # of images
    n.conv_dilate = False
    n.conv_normalize = "none"  # or "batch_norm", "layer_norm"
    n.update({"conv_regularize": "none", "conv_regularize_rate": 0.0})  # or "dropout", ...
    n.pool_type = "max"  # or "average"
    n.update({"pool_x": 2, "pool_y": 2, "pool_z": 1})
    n.dense_layers = (256,)  # the last is the width of the latent vector
    n.dense_normalize = "layer_norm"
    n.update({"dense_regularize": "none", "dense_regularize_rate": 0.0})
    return n


# Stages


def autoencoder(modality: str, options: ConfigDict) -> ConfigDict:
    """Return the stage of one modality alone."""
    s = stage("autoencoder")
    s.model.update({"modalities": (modality,), modality: options})
    s.model.unimodal_merger = False  # True: dense layers between encoder and decoder, as published
    s.loss = reconstruction(modality)
    return s


def pairing() -> ConfigDict:
    """Return the stage of both modalities, which begins with the networks of the other two."""
    s = stage("paired")
    s.model.update({"modalities": ("ecg", "mri"), "ecg": ecg_network(), "mri": mri_network()})
    # Which latent the decoders read: "sample": of one modality, drawn for each sample and step;
    # "coordinate": for each coordinate; "coordinate_fixed": the same once for all, as published;
    # "average", "concat", "kronecker": of both.
    s.model.merge = "sample"
    # "each": every decoder is judged on each encoder's latent; "as_training": on the merged one.
    s.model.merge_eval = "each"
    # Modalities whose decoder has the unimodal merger in front; finish() adds those whose stage has
    # one, if it is to be kept.
    s.model.update({"mergers": (), "fold_merger": True})
    s.init_from = tuple(
        (f"{part}_{modality}", modality)
        for modality in ("ecg", "mri")
        for part in ("encoder", "decoder")
    )
    s.saved_parts = "best"  # or "last", as published: which weights of the stages before
    s.data.participants = "any"  # "all": only those who have both modalities, as published
    s.loss = reconstruction("ecg", "mri")
    s.loss.pair = "contrastive"  # or "cosine", "euclid"
    s.loss.pair_weight = 0.1
    s.loss.contrastive_form = "infonce"  # or "swapped", as published
    s.loss.temperature_init = 2.6593  # logarithm of the factor on cosines: ln(1 / 0.07)
    s.loss.temperature_max = 4.6052  # of that logarithm: ln 100; None: not limited
    s.loss.cosine_clip = 1e-6
    s.loss.euclid_reduction = "row_mean"  # or "frobenius"
    return s


def latents() -> ConfigDict:
    """Return the stage that trains nothing: latents of encoders that came without decoders."""
    s = stage("latents")
    s.model.update({"modalities": ("ecg", "mri"), "ecg": ecg_network(), "mri": mri_network()})
    s.model.decoders = False
    s.loss = ConfigDict()
    return s


def reconstruction(*modalities: str) -> ConfigDict:
    """Return the reconstruction loss of each modality, and its weight where there are several."""
    kinds = {"ecg": "log_cosh", "mri": "mse"}  # or "mae"
    weight = {"weight": 1.0} if len(modalities) > 1 else {}
    return ConfigDict({m: {"loss": kinds[m], **weight} for m in modalities})


def stage(kind: str) -> ConfigDict:
    """Return what all stages have."""
    s = ConfigDict({"kind": kind, "model": {"decoders": True}})
    s.data = ConfigDict({"participants": "any"})
    # None: fresh weights; a stage of this run, a run, `run@step`, or a folder of converted weights
    # (`python -m medjax.convert`); or parts of the network: encoder_ecg:SOURCE,decoder_ecg:SOURCE.
    s.init_from = config_dict.placeholder(object)
    s.optimizer = ConfigDict({"name": "keras_adam", "learning_rate": 5e-5, "b1": 0.9, "b2": 0.999})
    s.optimizer.update({"eps": 1e-7, "weight_decay": 0.0, "momentum": 0.0, "clip_norm": 0.0})
    s.optimizer.schedule = "constant"  # or "warmup_cosine", with the three below
    s.optimizer.update({"warmup_steps": 0, "warmup_learning_rate": 0.0, "final_learning_rate": 0.0})
    s.train = ConfigDict({"epochs": 696, "global_batch_size": 4, "evaluation_batch_size": 4})
    s.train.training_steps = 128  # batches of an epoch; 0: one pass
    s.train.update({"validation_steps": 36, "test_steps": 32})  # of coverage "steps"
    s.train.accumulation = 1
    s.train.evaluate_every = 1  # epochs
    s.train.validation_split = "validation"
    s.train.final_splits = ("validation", "test")
    s.train.update({"monitor": "loss", "monitor_mode": "min"})
    s.train.patience = 192  # evaluations without a better monitored value; 0: never stop early
    # Of evaluations; the rate is halved when the loss has not fallen.
    s.train.plateau = ConfigDict({"factor": 0.5, "patience": 64, "threshold": 1e-4})
    s.train.epoch_order = "train_then_validate"
    s.train.on_not_finite = "stop"  # or "skip"
    s.train.save_every = 1000  # steps, besides at every evaluation; 0: only there
    s.train.log_every = 10  # steps
    return s


# Sizes


def smoke(config: ConfigDict) -> None:
    """The smallest run, under half a minute with compilation, for tests."""
    config.size = "smoke"
    small(config, persons=40, epochs=(1, 1, 1), batch=8, latent=16)
    config.data.demo.update({"valid_ratio": 0.2, "test_ratio": 0.4})
    config.data.demo.update({"ecg_samples": 80, "mri_edge": 24, "mri_frames": 4})
    config.evaluation.update({"resamples": 20, "pictures": 1, "map": "pca"})
    config.evaluation.update({"probes": ("ridge", "logistic"), "probe_folds": 2})
    config.fast_compilation = True
    networks(config, "ecg", conv_layers=(4, 4), dense_blocks=(4,), block_size=2)
    networks(config, "mri", conv_layers=(4, 4), dense_blocks=(4, 4), block_size=1)


def demo(config: ConfigDict) -> None:
    """Invented persons, beats at 125 Hz, cines of 16 frames of 48 x 48 (the default)."""
    config.size = "demo"
    small(config, persons=1400, epochs=(12, 20, 14), batch=32, latent=64)
    config.data.demo.update({"valid_ratio": 0.1, "test_ratio": 0.2})
    config.data.demo.update({"ecg_samples": 152, "mri_edge": 48, "mri_frames": 16})


def small(
    config: ConfigDict, persons: int, epochs: tuple[int, int, int], batch: int, latent: int
) -> None:
    """Shrink every stage."""
    config.data.demo.persons = persons
    config.data.residence = "device"
    config.loader.threads = 2
    stages = (config.ecg, config.mri, config.paired, config.latents)
    for s, count in zip(stages, (*epochs, 1), strict=True):
        s.train.update({"epochs": count, "training_steps": 0, "save_every": 0, "patience": 0})
        s.train.update({"global_batch_size": batch, "evaluation_batch_size": 2 * batch})
        s.optimizer.learning_rate = 1e-3
    networks(config, "ecg", conv_layers=(16, 16), dense_blocks=(24,), block_size=3)
    networks(config, "ecg", conv_width=(17,), dense_layers=(latent,))
    networks(config, "mri", conv_layers=(8, 8), dense_blocks=(24, 24, 12), block_size=2)
    networks(config, "mri", dense_layers=(latent,))


def networks(config: ConfigDict, modality: str, **fields: int | tuple[int, ...]) -> None:
    """Set fields of a modality's network in every stage that has it."""
    for s in (config.ecg, config.mri, config.paired, config.latents):
        if modality in s.model:
            s.model[modality].update(fields)


def published(config: ConfigDict) -> None:
    """The paper's recipe on a prepared cohort: needs data.dir."""
    config.size = "published"


# Runs


def paired(config: ConfigDict) -> None:
    """Each modality alone, then both in one latent space (the default run)."""


def ecg(config: ConfigDict) -> None:
    """The ECG autoencoder alone."""
    config.stages = ("ecg",)


def mri(config: ConfigDict) -> None:
    """The MRI autoencoder alone."""
    config.stages = ("mri",)


def unimodal(config: ConfigDict) -> None:
    """Both autoencoders, not paired."""
    config.stages = ("ecg", "mri")


def scratch(config: ConfigDict) -> None:
    """Both in one latent space from fresh weights."""
    config.stages = ("paired",)
    config.paired.init_from = None


def encode(config: ConfigDict) -> None:
    """Latents of encoders that came without decoders: name them in latents.init_from."""
    config.stages = ("latents",)


# Losses of pairs


def infonce(config: ConfigDict) -> None:
    """The symmetric cross entropy over all pairs of the global batch (the default)."""


def swapped(config: ConfigDict) -> None:
    """The contrastive loss as the original computes it, from a temperature of 1 without limit."""
    config.paired.loss.update({"contrastive_form": "swapped", "temperature_init": 0.0})
    config.paired.loss.temperature_max = None


def cosine(config: ConfigDict) -> None:
    """The mean angle between the two latents of a person."""
    config.paired.loss.pair = "cosine"


def euclid(config: ConfigDict) -> None:
    """The mean distance between the two latents of a person."""
    config.paired.loss.pair = "euclid"


SIZES = (smoke, demo, published)
RUNS = (paired, ecg, mri, unimodal, scratch, encode)
PAIRS = (infonce, swapped, cosine, euclid)
WORDS = {f.__name__: f for f in (*SIZES, *RUNS, *PAIRS)}
GROUPS = {
    "run": tuple(f.__name__ for f in RUNS),
    "pair loss": tuple(f.__name__ for f in PAIRS),
}
