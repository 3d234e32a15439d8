"""The kinds of probe of `medjax.metrics.probes`, by name."""

KINDS = ("ridge", "logistic", "kernel_ridge")
FOR_NUMBERS, FOR_CLASSES = ("ridge", "kernel_ridge"), ("logistic", "kernel_ridge")
"""Which kinds of probe a label can have."""
