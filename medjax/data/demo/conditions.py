"""Diagnoses of the synthetic patients: one condition for each of the 25 benchmark phenotypes.

A condition occurs with a share near `prevalence`; `loadings` say how the latent organ states of
`medjax.data.demo.patients` move its log-odds. Codes are genuine ICD-9-CM and ICD-10-CM codes,
written without a dot as MIMIC-IV stores them; the titles are our own short wording.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Condition(NamedTuple):
    """One diagnosis: `chronic` ones stay with the patient over admissions."""

    name: str
    chronic: bool
    prevalence: float
    loadings: Mapping[str, float]
    icd9: tuple[str, ...]
    icd10: tuple[str, ...]


# fmt: off
CONDITIONS = (
    Condition("Acute kidney failure", False, 0.21, {"acidosis": 1.6, "circulation": 0.6},
              ("5849", "5845"), ("N179", "N170")),
    Condition("Stroke", False, 0.08, {"consciousness": 1.4},
              ("431", "43491"), ("I619", "I6789")),
    Condition("Acute myocardial infarction", False, 0.10, {"circulation": 1.1, "heart_size": 0.8},
              ("41071", "41091"), ("I214", "I2129")),
    Condition("Disorder of heart rhythm", True, 0.30, {"rhythm": 2.0},
              ("42731", "42789"), ("I4891", "I499")),
    Condition("Chronic kidney disease", True, 0.14, {"pressure": 0.9, "sugar": 0.8},
              ("5859", "5856"), ("N189", "N186")),
    Condition("Chronic obstructive pulmonary disease", True, 0.14, {"airway": 2.2},
              ("496", "49121"), ("J449", "J441")),
    Condition("Complication of care", False, 0.20, {"infection": 1.2},
              ("99859", "99811"), ("T814XXA", "J95811")),
    Condition("Disorder of heart conduction", True, 0.08, {"rhythm": -1.8},
              ("4263", "4260"), ("I447", "I442")),
    Condition("Congestive heart failure", True, 0.25, {"heart_size": 2.2},
              ("4280", "42833"), ("I509", "I5033")),
    Condition("Coronary artery disease", True, 0.30, {"heart_size": 1.4, "pressure": 0.6},
              ("41401", "412"), ("I2510", "I252")),
    Condition("Diabetes with complications", True, 0.10, {"sugar": 1.7},
              ("25060", "25040"), ("E1140", "E118")),
    Condition("Diabetes without complication", True, 0.19, {"sugar": 1.4},
              ("25000",), ("E119",)),
    Condition("Disorder of blood lipids", True, 0.29, {"sugar": 0.8, "pressure": 0.9},
              ("2724", "2720"), ("E785",)),
    Condition("Essential hypertension", True, 0.42, {"pressure": 1.6},
              ("4019",), ("I10",)),
    Condition("Disorder of fluid or electrolytes", False, 0.27, {"acidosis": 1.4},
              ("2762", "2760"), ("E872", "E870")),
    Condition("Gastrointestinal bleeding", False, 0.08, {"circulation": 1.5, "pressure": -0.6},
              ("5789", "5781"), ("K922", "K921")),
    Condition("Hypertension with complications", True, 0.13, {"pressure": 1.7},
              ("40390", "40391"), ("I129", "I120")),
    Condition("Chronic liver disease", True, 0.09, {"sugar": -0.8, "pressure": -1.2},
              ("5715", "5728"), ("K7469", "K766")),
    Condition("Other lower respiratory disease", False, 0.06, {"airway": 1.2, "consolidation": 0.9},
              ("514", "515"), ("J849", "J810")),
    Condition("Other upper respiratory disease", False, 0.05, {"breathing": 1.4},
              ("51919", "4789"), ("J383", "J384")),
    Condition("Pleural effusion or collapse", False, 0.12, {"effusion": 1.9, "breathing": 0.6},
              ("5119", "5180"), ("J918", "J9819")),
    Condition("Pneumonia", False, 0.15, {"consolidation": 1.8, "infection": 0.9},
              ("486", "4829"), ("J189", "J159")),
    Condition("Respiratory failure", False, 0.20, {"breathing": 1.6, "lung_water": 0.4},
              ("51881", "5185"), ("J9600", "J9690")),
    Condition("Septicaemia", False, 0.15, {"infection": 1.5, "circulation": 0.5},
              ("0389", "0380"), ("A419", "A409")),
    Condition("Shock", False, 0.11, {"circulation": 1.8},
              ("78552", "78551"), ("R6521", "R570")),
)
# fmt: on

BYSTANDERS = (
    ("History of tobacco use", "V1582", "Z87891"),
    ("Depressive disorder", "311", "F329"),
    ("Hypothyroidism", "2449", "E039"),
)
"""Codes outside the 25 phenotypes, given to some patients whatever their state."""
