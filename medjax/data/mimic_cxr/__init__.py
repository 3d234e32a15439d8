"""MIMIC-CXR-JPG: tables, the link between films and ICU stays, preparation."""
