"""Cross-modal autoencoder of ECG and cardiac MRI (Radhakrishnan and others, 2023)."""
