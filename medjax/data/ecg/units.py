"""Units of time of outcomes."""

DAYS = {"day": 1.0, "month": 30.0, "year": 365.0}
"""Of each unit of time, as the published risk data count them."""
