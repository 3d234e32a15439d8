"""One charted value: text and unit -> a number in the channel's unit, or a category.

Rules are plain functions of one value. `events` calls them once for each distinct
(item, text, unit), of which there are few, so they need not be fast.
"""

import math
import re

from medjax.data.mimic_iv import published
from medjax.data.mimic_iv.channels import Channels, Range
from medjax.data.mimic_iv.rules import Rules

KG_PER_POUND = 0.453592
OUNCES_PER_POUND = 16
CM_PER_INCH = 2.54
HEIGHT_IN_INCHES = 226707
LARGEST = 3.4e38
"""Largest magnitude that float32 holds; anything beyond counts as infinite."""

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_PLAIN_DECIMAL = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)
_PRESSURE_PAIR = re.compile(r"(\d+)/(\d+)", re.ASCII)
_INFINITE = re.compile(r"\s*[+-]?inf(inity)?\s*", re.IGNORECASE)
_REFILL = {
    "Normal <3 secs": 0.0,
    "Brisk": 0.0,
    "Abnormal >3 secs": 1.0,
    "Delayed": 1.0,
}


class Rejected(Exception):
    """A value that cannot be used; the text is the reason under which it is counted."""


def number(text: str) -> float:
    """Return a decimal number as a float.

    Raises:
        Rejected: when the text is no number, or too large for float32.
    """
    if _INFINITE.fullmatch(text):
        raise Rejected("infinite value")
    if not _NUMBER.fullmatch(text):
        raise Rejected("not a number")
    value = float(text)
    if math.isinf(value) or abs(value) > LARGEST:
        raise Rejected("infinite value")
    return value


def plain_decimal(text: str) -> float:
    """Return a non-negative decimal without sign and exponent as a float, else reject it."""
    if not _PLAIN_DECIMAL.fullmatch(text):
        raise Rejected("not a number")
    return number(text)


def pressure(text: str, part: int) -> float:
    """Return systolic (part 0) or diastolic (1) pressure in mmHg of "120/80", or of a number."""
    pair = _PRESSURE_PAIR.fullmatch(text)
    return float(pair.groups()[part]) if pair else number(text)


def capillary_refill(text: str) -> float:
    """Return 0 for a normal refill, 1 for a delayed one."""
    if text not in _REFILL:
        raise Rejected("unknown category")
    return _REFILL[text]


def inspired_oxygen(text: str, unit: str, rules: Rules) -> float:
    """Return FiO2 as a fraction; a pressure in torr stays as it is."""
    value = number(text)
    percent = rules.fio2_rule == "always_percent" or (value > 1 and "torr" not in unit)
    return value / 100 if percent else value


def oxygen_saturation(text: str) -> float:
    """Return SpO2 in percent; a value up to 1 is a fraction."""
    value = plain_decimal(text)
    return value * 100 if value <= 1 else value


def temperature(text: str) -> float:
    """Return degrees Celsius; 79 and more is Fahrenheit, whatever the item."""
    value = number(text)
    return (value - 32) * 5 / 9 if value >= 79 else value


def weight(text: str, unit: str, label: str) -> float:
    """Return kilograms; pounds and ounces are told by the unit or the label of the item."""
    value = number(text)
    ounces = "oz" in unit or "oz" in label
    if ounces:
        value /= OUNCES_PER_POUND
    if ounces or "lb" in unit or "lb" in label:
        value *= KG_PER_POUND
    return value


def height(item: int, text: str, unit: str, label: str, rules: Rules) -> float:
    """Return centimetres; inches are told by unit and label, and by the item itself."""
    value = number(text)
    inches = "in" in unit or "in" in label
    if rules.height_unit == "by_item":
        inches = inches or item == HEIGHT_IN_INCHES
    return float(round(value * CM_PER_INCH)) if inches else value


def own_unit(text: str, unit: str, channels: Channels, channel: int) -> float:
    """Return a number of a user's own channel in the channel's unit."""
    factor, offset = channels.units[channel].get(unit.strip(), (1.0, 0.0))
    return number(text) * factor + offset


def clean(item: int, text: str, unit: str, channels: Channels, rules: Rules) -> float | str:
    """Convert one value to the unit of its channel; texts of channels without a rule pass.

    Args:
        item: an item id among `channels.items`.
        text: the value as charted.
        unit: the unit as charted; case does not matter.

    Raises:
        Rejected: with the reason, when the value cannot be used.
    """
    unit, label = unit.lower(), channels.items[item].label
    channel = channels.items[item].channel
    if channel in channels.units:
        return text if channels.categories[channel] else own_unit(text, unit, channels, channel)
    match channels.names[channel]:
        case "Systolic blood pressure":
            return pressure(text, 0)
        case "Diastolic blood pressure":
            return pressure(text, 1)
        case "Capillary refill rate":
            return capillary_refill(text)
        case "Fraction inspired oxygen":
            return inspired_oxygen(text, unit, rules)
        case "Oxygen saturation":
            return oxygen_saturation(text)
        case "Glucose" | "pH":
            return plain_decimal(text)
        case "Temperature":
            return temperature(text)
        case "Weight":
            return weight(text, unit, label)
        case "Height":
            return height(item, text, unit, label, rules)
    return text


def encode(item: int, text: str, unit: str, channels: Channels, rules: Rules) -> float:
    """Clean one value and return it as a number, or as the index of its category.

    Raises:
        Rejected: with the reason, when the value cannot be used.
    """
    channel = channels.items[item].channel
    if not text.strip() or (rules.none_text == "missing" and text in published.MISSING_TEXTS):
        raise Rejected("empty value")
    value = clean(item, text, unit, channels, rules)
    if channels.categories[channel]:
        return float(category(str(value), channels.categories[channel]))
    value = number(value) if isinstance(value, str) else value
    if rules.outlier_ranges == "on":
        value = within(value, channels.ranges[channel])
    return value


def category(text: str, categories: tuple[str, ...]) -> int:
    """Return the index of a category; a score charted as "15.0" is the category "15"."""
    text = text.strip()
    known = text if text in categories else text.removesuffix(".0")
    if known not in categories:
        raise Rejected("unknown category")
    return categories.index(known)


def within(value: float, limits: Range) -> float:
    """Reject a value outside the outlier limits, clip it to the valid ones."""
    if not limits.outlier_low <= value <= limits.outlier_high:
        raise Rejected("outside the plausible range")
    return min(max(value, limits.valid_low), limits.valid_high)
