"""Parity of MedKLIP's film transforms and of the reading of RSNA's films and boxes."""

import numpy as np

from medjax.data.boxes import box_mask, nearest_mask, read_boxes
from medjax.data.equalize import equalize_histogram
from medjax.data.image_transforms import normalise, stretch
from medjax.data.randaugment import RandAugment, operate
from tests.parity.harness import Case, handles

SIDE, BOX_SIDE, STEP = 224, 1024, 4
PUBLISHED = RandAugment(
    sharpness_overflow="wrap", autocontrast_offset="wrap", luma_channel_order="bgr"
)


@handles("medklip", "eval_transform", config=())
def eval_transform(case: Case) -> dict[str, np.ndarray]:
    """image -> every fourth pixel, mean and spread of its evaluation view."""
    view = np.moveaxis(normalise(stretch(case.inputs["image"], SIDE)), -1, 0)
    return {
        "tensor_sub": view[:, ::STEP, ::STEP],
        "mean": view.mean((1, 2), np.float64),
        "std": view.std((1, 2), np.float64, ddof=1),
    }


@handles("medklip", "randaugment_ops", config={"ops"})
def randaugment_ops(case: Case) -> dict[str, np.ndarray]:
    """image -> what each operation makes of it."""
    outputs = {}
    for name, values in case.config["ops"]:
        result = operate(name, case.inputs["image"], values, PUBLISHED)
        key = f"{name}_{values[0]}" if values else name
        outputs[key] = result.astype(np.float32)
    return outputs


@handles("medklip", "rsna_preprocess", config={"boxes"})
def rsna_preprocess(case: Case) -> dict[str, np.ndarray]:
    """Pixels -> equalised; boxes as text -> mask."""
    mask = box_mask(read_boxes(case.config["boxes"]), BOX_SIDE, BOX_SIDE)
    return {
        "equalized_uint8": equalize_histogram(case.inputs["pixel_array"]),
        "seg_map": nearest_mask(mask, (SIDE, SIDE)),
    }
