"""The 75 entities and 51 positions that reports are reduced to, in their fixed order.

Names and orders are those of MedKLIP (Wu et al., ICCV 2023, arXiv 2301.02228).
"""

import functools
import json
from importlib.resources import files

NORMAL = ("normal", "clear", "sharp", "sharply", "unremarkable", "intact", "stable", "free")
ABNORMAL = (
    *("effusion", "opacity", "pneumothorax", "edema", "atelectasis", "tube", "consolidation"),
    *("process", "abnormality", "enlarge", "tip", "low", "pneumonia", "line", "congestion"),
    *("catheter", "cardiomegaly", "fracture", "air", "tortuous", "lead", "disease"),
    *("calcification", "prominence", "device", "engorgement", "picc", "clip", "elevation"),
    *("expand", "nodule", "wire", "fluid", "degenerative", "pacemaker", "thicken", "marking"),
    *("scar", "hyperinflate", "blunt", "loss", "widen", "collapse", "density", "emphysema"),
    *("aerate", "mass", "crowd", "infiltrate", "obscure", "deformity", "hernia", "drainage"),
    *("distention", "shift", "stent", "pressure", "lesion", "finding", "borderline"),
    *("hardware", "dilation", "chf", "redistribution", "aspiration"),
)
TAIL, EXCLUDED = "tail_abnorm_obs", "excluded_obs"
"""Observations that are rarer than all of these, and words that are no finding of their own."""
ENTITIES = (*NORMAL, *ABNORMAL, TAIL, EXCLUDED)
UNSPECIFIED, OTHER = "unspecified", "other"
POSITIONS = (
    *("trachea", "left_hilar", "right_hilar", "hilar_unspec", "left_pleural", "right_pleural"),
    *("pleural_unspec", "heart_size", "heart_border", "left_diaphragm", "right_diaphragm"),
    *("diaphragm_unspec", "retrocardiac", "lower_left_lobe", "upper_left_lobe"),
    *("lower_right_lobe", "middle_right_lobe", "upper_right_lobe", "left_lower_lung"),
    *("left_mid_lung", "left_upper_lung", "left_apical_lung", "left_lung_unspec"),
    *("right_lower_lung", "right_mid_lung", "right_upper_lung", "right_apical_lung"),
    *("right_lung_unspec", "lung_apices", "lung_bases", "left_costophrenic"),
    *("right_costophrenic", "costophrenic_unspec", "cardiophrenic_sulcus", "mediastinal"),
    *("spine", "clavicle", "rib", "stomach", "right_atrium", "right_ventricle", "aorta", "svc"),
    *("interstitium", "parenchymal", "cavoatrial_junction", "cardiopulmonary", "pulmonary"),
    *("lung_volumes", UNSPECIFIED, OTHER),
)
RARE_CLASSES = ("pneumonia", "infiltrate", "mass", "nodule", "emphysema", "thicken", "hernia")
"""The entities that the option `exclude_class` leaves out of pre-training."""
CHESTXRAY14 = {
    "Atelectasis": "atelectasis",
    "Cardiomegaly": "cardiomegaly",
    "Effusion": "effusion",
    "Infiltration": "infiltrate",
    "Mass": "mass",
    "Nodule": "nodule",
    "Pneumonia": "pneumonia",
    "Pneumothorax": "pneumothorax",
    "Consolidation": "consolidation",
    "Edema": "edema",
    "Emphysema": "emphysema",
    "Fibrosis": TAIL,
    "Pleural_Thickening": "thicken",
    "Hernia": "hernia",
}
"""Label of ChestX-ray14, in the order of its tables -> the entity that scores it."""
CHEXPERT = {
    "No Finding": "normal",
    "Enlarged Cardiomediastinum": "widen",
    "Lung Opacity": "opacity",
    "Lung Lesion": "lesion",
    "Pleural Effusion": "effusion",
    "Pleural Other": "thicken",
    "Support Devices": "device",
}
"""Labels of CheXpert that are named otherwise than an entity -> the entity that scores each."""
OTHER_LABELS = {"COVID-19": "pneumonia", "Target": "pneumonia", "Lung_Opacity": "opacity"}
"""Labels of other tables; COVID-19 is better described by the user, as a query of its own."""


def query_of(label: str) -> str | None:
    """Return the entity that scores a label of a table, None where there is none."""
    known = CHESTXRAY14 | CHEXPERT | OTHER_LABELS
    name = label.lower()
    return known.get(label, name if name in ENTITIES else None)


def read_resource(name: str) -> dict:
    """Return one of the tables beside this module."""
    return json.loads((files(__package__) / "resources" / name).read_text(encoding="utf-8"))


@functools.cache
def entity_descriptions() -> dict[str, str]:
    """Return a sentence for every entity, in their order."""
    return read_resource("entity_descriptions.json")


def position_sentence(position: str, underscores: bool = False) -> str:
    """Return what the text encoder reads of a position.

    underscores: the name as it is, "left_pleural", as published.
    """
    return f"It is located at {position if underscores else position.replace('_', ' ')}"
