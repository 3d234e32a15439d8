"""Texts as vectors: word pieces, and encoders that systems share.

wordpiece   texts -> token ids
encoder     texts -> one vector each, by a BERT
table       texts -> one vector each, by a table that folds new texts in
"""
