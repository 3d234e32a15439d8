"""One folder a system; commands find a system by its folder name."""
