"""How a run goes: config, stages, the training loop, checkpoints, reports; it knows no system."""
