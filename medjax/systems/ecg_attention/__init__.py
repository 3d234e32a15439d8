"""ECG dual attention (Chen et al. 2024): text-informed representations of ECGs and risk."""
