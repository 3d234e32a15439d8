"""How a text's vector is made of those of its tokens, by name."""

POOLINGS = ("masked_mean", "mean_with_padding", "first_token")
