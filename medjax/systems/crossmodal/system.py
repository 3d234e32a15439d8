"""The cross-modal autoencoder as the run layer sees it."""

from medjax.systems.crossmodal.comparison import compare as compare
from medjax.systems.crossmodal.data import open_data as open_data
from medjax.systems.crossmodal.stage import make_stage as build

__all__ = ["build", "compare", "open_data"]
