"""What a run tells people: metrics by step, progress, tables."""
