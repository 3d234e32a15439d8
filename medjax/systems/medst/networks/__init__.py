"""Networks: encoders of films and of reports, what compares them, and what is put on top."""
