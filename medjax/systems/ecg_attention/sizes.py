"""Fixed sizes of the networks: plain numbers, without JAX."""

HEADS = 8
"""Of attention."""
EXPANSIONS = (1, 2, 4, 4, 4, 4)
"""Channels before and after the encoder's blocks, in base features."""
DOWNSAMPLING = 32
"""Samples of an xresnet's input for one of its output."""
