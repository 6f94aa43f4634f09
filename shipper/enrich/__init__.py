"""Answers that a record does not carry itself: geography, owners, names."""
