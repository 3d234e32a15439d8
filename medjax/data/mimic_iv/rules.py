"""The choices of the MIMIC-IV preparation: what is right by default, what was published."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from medjax.errors import UsageError, nearest

CHOICES: Mapping[str, tuple[str, ...]] = {
    "split_source": ("lists_if_95_percent", "lists"),
    "age_reference": ("icu_intime", "anchor"),
    "diagnosis_join": ("code_and_version", "code"),
    "diagnosis_code_type": ("text", "inferred"),
    "stays_without_diagnoses": ("skip_in_phenotyping", "skip_everywhere"),
    "event_unit": ("carried", "as_valuenum"),
    "fio2_rule": ("percent_if_above_1", "always_percent"),
    "height_unit": ("by_item", "by_label"),
    "temperature_rule": ("fahrenheit_if_79",),
    "same_time_tie": ("numeric_max", "text_order"),
    "outlier_ranges": ("on", "off"),
    "normalizer": ("fit_train", "ph_ts1.0"),
    "none_text": ("category", "missing"),
}


@dataclass(frozen=True)
class Rules:
    """One value a field; the defaults are right, `Rules.published()` is what was published.

    split_source: published split lists only where they list 95 % of the subjects, or always.
    age_reference: age at ICU admission, or `anchor_age` as it stands.
    diagnosis_join: titles by code and version, or by code alone (doubles codes of both versions).
    diagnosis_code_type: codes stay text, or a subject of all-digit codes loses its leading zeros
        (seen only in the diagnosis columns of the benchmark's episode files).
    stays_without_diagnoses: left out of phenotyping only, or of every task.
    event_unit: the unit column of every table, or the number where a number stands beside it.
    fio2_rule: a FiO2 above 1 is a percentage, or every FiO2 is.
    height_unit: item 226707 is in inches, or only items whose label says so.
    temperature_rule: Fahrenheit where the value is 79 or more.
    same_time_tie: of two values at one time the largest number, or the last as text.
    outlier_ranges: implausible values are dropped and extreme ones clipped, or neither.
    normalizer: statistics of the train split, or the published ones of MIMIC-III.
    none_text: the eye-opening score "None" is a value, or is read as an empty field.
    """

    split_source: str = "lists_if_95_percent"
    age_reference: str = "icu_intime"
    diagnosis_join: str = "code_and_version"
    diagnosis_code_type: str = "text"
    stays_without_diagnoses: str = "skip_in_phenotyping"
    event_unit: str = "carried"
    fio2_rule: str = "percent_if_above_1"
    height_unit: str = "by_item"
    temperature_rule: str = "fahrenheit_if_79"
    same_time_tie: str = "numeric_max"
    outlier_ranges: str = "on"
    normalizer: str = "fit_train"
    none_text: str = "category"

    @classmethod
    def default(cls) -> "Rules":
        """Return what is right."""
        return cls()

    @classmethod
    def published(cls) -> "Rules":
        """Return what the published extraction does (the last choice of every field)."""
        return cls(**{name: choices[-1] for name, choices in CHOICES.items()})

    def with_fields(self, values: Mapping[str, str]) -> "Rules":
        """Return these rules with some fields set by name.

        Raises:
            UsageError: when a field or a value is unknown; names the nearest right one.
        """
        for name, value in values.items():
            if name not in CHOICES:
                raise UsageError(f"unknown rule {name!r}{nearest(name, CHOICES)}")
            if value not in CHOICES[name]:
                known = " or ".join(CHOICES[name])
                raise UsageError(f"--{name}={value}: give {known}")
        return replace(self, **values)

    def to_dict(self) -> dict[str, str]:
        """Return the fields and their values, for the manifest."""
        return asdict(self)
