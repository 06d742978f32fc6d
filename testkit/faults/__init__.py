"""Faults put into a living desktop session while somebody records, and what the recorder heard of them."""
