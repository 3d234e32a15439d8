"""MIMIC-IV (1.0 to 3.x): hospital and ICU tables -> ICU stays as hourly series with task labels.

A sample goes one way: `tables` and `stream` read, `cohort` and `diagnoses` say who and what,
`events` and `clean` select and convert measurements, `episodes` joins them to stays,
`discretize` makes the 76 columns, `tasks` and `split` decide labels and splits, `prepare` writes.
`rules` names every choice between right and published behaviour; `published` holds the latter.
"""
