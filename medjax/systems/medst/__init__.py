"""MedST (Yang and others, 2024) and MGCA (Wang and others, 2022): films and their reports."""
