"""Segmentation and detection of MGCA."""

from functools import partial
from typing import Any

import jax
import numpy as np

from medjax.losses.segmentation import dice_loss, focal_dice, focal_loss
from medjax.metrics.segmentation import mask_scores
from medjax.nn.torch_names import from_torch
from medjax.systems.medst.names import neck_layers, setr_decoder_layers
from medjax.systems.medst.networks.detector import Neck
from medjax.systems.medst.networks.segmentation import Decoder
from medjax.systems.medst.tasks.boxes import decode, detection_loss, keep_best, make_targets
from tests.parity.handlers.medst_networks import channels_last
from tests.parity.harness import Case, handles

SIDE = 224
"""Pixels of the detector's films."""


@handles("medst", "setr_decoder", config={"in_channels", "features", "runner"})
def setr_decoder(case: Case) -> dict[str, np.ndarray]:
    x = channels_last(case.inputs["features"])
    assert x.shape[-1] == case.config["in_channels"]
    features = case.config["features"]
    model = Decoder(tuple(features))
    variables = from_torch(setr_decoder_layers(len(features)), case.weights)
    logits = jax.jit(partial(model.apply, train=False))(variables, x)
    return {"logits": np.moveaxis(logits, -1, 1)}


@handles("medst", "segmentation_losses", config={"runner"})
def segmentation_losses(case: Case) -> dict[str, Any]:
    logits, mask = case.inputs["logits"], case.inputs["mask"]
    loss, grad = jax.value_and_grad(focal_dice)(logits, mask)
    probabilities = jax.nn.sigmoid(logits)
    return {
        "mixed_loss": loss,
        "grad": grad,
        "focal": focal_loss(logits, mask),
        "dice_coefficient": 1 - dice_loss(probabilities, mask),
        "metric_dice": mask_scores(np.asarray(probabilities), mask).dice.mean(),
    }


@handles("medst", "yolo_neck", config={"filters", "runner"})
def yolo_neck(case: Case) -> dict[str, np.ndarray]:
    maps = [channels_last(case.inputs[name]) for name in ("c5", "c4", "c3")]
    assert [m.shape[-1] for m in reversed(maps)] == case.config["filters"]
    variables = from_torch(neck_layers(), case.weights)
    out = jax.jit(partial(Neck().apply, train=False))(variables, maps)
    names = ("out_stride32", "out_stride16", "out_stride8")
    return {name: np.moveaxis(raw, -1, 1) for name, raw in zip(names, out)}


@handles("medst", "yolo_head_loss", config={"conf_thres", "nms_thres", "runner"})
def yolo_head_loss(case: Case) -> dict[str, np.ndarray]:
    """The maps as [batch, row, column, channel]; boxes of all scales joined."""
    outputs: dict[str, Any] = {}
    total, every = 0.0, []
    for scale in range(3):
        raw = channels_last(case.inputs[f"out{scale}"])
        targets = make_targets(case.inputs["targets"], scale, SIDE, raw.shape[1])
        parts = jax.jit(detection_loss)(raw, targets)
        outputs[f"losses_scale{scale}"] = np.array([float(part) for part in parts])
        outputs[f"decoded_scale{scale}"] = np.asarray(decode(raw, scale, SIDE))
        total += float(parts.total)
        every.append(outputs[f"decoded_scale{scale}"])
    limits = case.config["conf_thres"], case.config["nms_thres"]
    for index, boxes in enumerate(np.concatenate(every, 1)):
        outputs[f"nms_{index}"] = keep_best(boxes, *limits)
    return {**outputs, "total": np.float64(total)}
