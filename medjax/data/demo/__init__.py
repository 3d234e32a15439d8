"""Synthetic patients in the raw formats of MIMIC-IV and MIMIC-CXR-JPG: the embedded default.

`patients` draws the latent story (organ states, admissions, outcome); `icu` writes it as the tables
of MIMIC-IV 2.2 and `xray` as the films and tables of MIMIC-CXR-JPG 2.0. Everything is invented and
everything goes through the same `prepare` as real data. Part of the risk of death shows only in the
series, part only on the film, so joining the two helps.
"""
