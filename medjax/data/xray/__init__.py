"""The X-ray store: one prepared set of films for all systems, made once from the originals."""
