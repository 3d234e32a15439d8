"""Losses as pure functions; elementwise ones are reduced by `masked_mean`."""

from medjax.losses.alignment import cosine_alignment as cosine_alignment
from medjax.losses.alignment import info_nce as info_nce
from medjax.losses.alignment import kl_alignment as kl_alignment
from medjax.losses.alignment import sigmoid_pairs as sigmoid_pairs
from medjax.losses.classification import binary_cross_entropy as binary_cross_entropy
from medjax.losses.classification import ranking as ranking
from medjax.losses.classification import sigmoid_cross_entropy as sigmoid_cross_entropy
from medjax.losses.reduction import masked_mean as masked_mean
from medjax.losses.survival import cox_loss as cox_loss
from medjax.losses.survival import has_comparable_event as has_comparable_event
