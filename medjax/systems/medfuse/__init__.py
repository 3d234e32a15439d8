"""MedFuse (Hayat, Geras, Shamout, MLHC 2022): LSTM fusion of ICU time series and chest X-rays."""
