"""Stages of the tasks on films alone, every published number of them, for configs/medst.py."""

from ml_collections import ConfigDict, config_dict

PERCENTS = (1, 10, 100)
"""Shares of the training films at which every task is learned."""


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
