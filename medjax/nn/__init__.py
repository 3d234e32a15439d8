"""Flax linen blocks that two systems or more share."""
