"""The built-in voices in NumPy, as they were before their loops became C: what the tests hold those to."""
