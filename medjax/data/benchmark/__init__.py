"""Folders of the published benchmark (mimic3-benchmarks, MedFuse), read into prepared sets."""
