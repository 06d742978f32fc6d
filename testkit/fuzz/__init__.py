"""Fuzzers of all that comes from outside: D-Bus, command line, files, the engine's channel. tools/fuzz runs them."""
