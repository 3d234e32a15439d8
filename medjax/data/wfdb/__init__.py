"""WFDB, the format of PhysioNet: a text header a record and its signal files."""
