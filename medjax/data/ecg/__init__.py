"""Electrocardiograms: what the sources of ECG recordings share, from leads to prepared sets."""
