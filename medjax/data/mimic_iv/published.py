"""What the published extraction does where it is not right; used under its rules only.

Behaviour of nyuad-cai/MedFuse `mimic4extract` (Hayat et al. 2022, arXiv 2207.07027), which follows
YerevaNN/mimic3-benchmarks (Harutyunyan et al. 2019).
"""

UNIT_COLUMN = {"chartevents": "valuenum", "labevents": "valuenum", "outputevents": "valueuom"}
"""The column that is carried as a unit: the number where there is one (event_unit)."""

MISSING_TEXTS = frozenset(
    ("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN")
    + ("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
)
"""Texts that pandas reads as an empty field; the eye-opening score "None" is one (none_text)."""

CONVERTED = frozenset(
    (
        "Capillary refill rate",
        "Diastolic blood pressure",
        "Fraction inspired oxygen",
        "Glucose",
        "Height",
        "Oxygen saturation",
        "Systolic blood pressure",
        "Temperature",
        "Weight",
        "pH",
    )
)
"""Channels whose values are numbers when ties are resolved; all others are texts then."""
