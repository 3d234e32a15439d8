"""medjax: published medical multimodal systems, trained and evaluated in pure-functional JAX."""

__version__ = "0.1.0"
