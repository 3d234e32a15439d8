"""Knowledge-enhanced pre-training on films and the triplets of their reports (MedKLIP)."""
