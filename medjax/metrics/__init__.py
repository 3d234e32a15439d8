"""Pure functions from predictions to numbers, with bootstrap intervals."""
