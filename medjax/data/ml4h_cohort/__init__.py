"""The cross-modal cohort: resting ECG and long-axis cine MRI of the HD5 files of ml4h."""
