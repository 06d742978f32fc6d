"""The memory of one conversion, live and for files the same."""
