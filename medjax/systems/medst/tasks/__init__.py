"""The downstream tasks: stages, scores and figures."""
