"""PTB-XL (1.0.1 to 1.0.3) and the median beats of PTB-XL+ (1.0.1)."""
