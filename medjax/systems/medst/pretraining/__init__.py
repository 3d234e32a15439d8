"""The pre-training stage: its losses, its optimiser step and what it starts from."""
