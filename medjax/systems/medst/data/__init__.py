"""What is read: films, views, captions, sequences, pairs of films, and batches of them."""
