"""From the organ states to what a film shows, and from there to the 14 CheXpert labels."""

from collections.abc import Mapping

import numpy as np

from medjax.data.demo.film import Findings

LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum",
    "Fracture", "Lung Lesion", "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other",
    "Pneumonia", "Pneumothorax", "Support Devices",
)  # fmt: skip


def findings_on_film(
    states: Mapping[str, float], acute: float, bedside: bool, rng: np.random.Generator
) -> Findings:
    """What one film shows; `acute` scales the passing illness (1 in the unit, less before it)."""
    n, u = 0.09 * rng.standard_normal(6), rng.random(6)

    def strength(name: str, base: float, slope: float, k: int) -> float:
        return float(np.clip(acute * (base + slope * states[name]) + n[k], 0, 1.2))

    return Findings(
        edema=strength("lung_water", 0.30, 0.34, 0),
        consolidation=strength("consolidation", -0.10, 0.50, 1),
        consolidation_side=-1 if u[0] < 0.6 else 1,
        effusion_left=strength("effusion", 0.15, 0.34, 2),
        effusion_right=strength("effusion", 0.08, 0.34, 3),
        heart=float(np.clip(0.25 + 0.36 * states["heart_size"] + 0.7 * n[4], -0.2, 1.2)),
        mediastinum=float(np.clip(5 * n[5], 0, 1)),
        pneumothorax=0.4 + 0.6 * u[1] if u[2] < 0.05 else 0.0,
        pneumothorax_side=-1 if u[0] < 0.5 else 1,
        atelectasis=float(np.clip(0.2 + 4 * n[3], 0, 1)),
        lesion=0.6 + 0.4 * u[1] if u[3] < 0.05 else 0.0,
        hyperinflation=float(np.clip(0.6 * states["airway"], 0, 1)),
        fracture=bool(u[4] < 0.03),
        tube=bedside and states["breathing"] > 0.9,
        line=bedside and states["circulation"] > 0.6,
        pacemaker=states["rhythm"] < -1.3,
        obesity=float(np.clip(0.5 * states["habitus"], 0, 1)),
    )


def label_study(f: Findings, febrile: bool, rng: np.random.Generator) -> list[float]:
    """The labels in the order of `LABELS`: 1, 0, -1 (uncertain), NaN (not mentioned).

    Near the threshold a reader hedges; of absent findings only some are mentioned at all.
    """
    fluid = max(f.effusion_left, f.effusion_right)
    strengths = {
        "Atelectasis": f.atelectasis,
        "Cardiomegaly": f.heart,
        "Consolidation": f.consolidation,
        "Edema": f.edema,
        "Enlarged Cardiomediastinum": f.mediastinum,
        "Fracture": float(f.fracture),
        "Lung Lesion": f.lesion,
        "Lung Opacity": max(f.consolidation, 0.8 * f.edema),
        "Pleural Effusion": fluid,
        "Pleural Other": fluid - 0.55,
        "Pneumonia": f.consolidation if febrile else 0.5 * f.consolidation,
        "Pneumothorax": f.pneumothorax,
        "Support Devices": float(f.tube or f.line or f.pacemaker),
    }
    labels = {}
    for name, strength in strengths.items():
        hedge, mention = rng.random(2)
        seen = strength > 0.42
        if abs(strength - 0.42) < 0.10 and hedge < 0.5:
            labels[name] = -1.0
        elif seen:
            labels[name] = 1.0 if mention < 0.97 else np.nan
        else:
            labels[name] = 0.0 if mention < 0.3 else np.nan
    noted = any(v in (1, -1) for name, v in labels.items() if name != "Support Devices")
    labels["No Finding"] = np.nan if noted else 1.0
    return [labels[name] for name in LABELS]
