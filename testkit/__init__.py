"""Holds what tests and tools share: makers of files and voices, recorders, judges, real servers, fault and fuzz suites.

Tests and tools both import this package, never each other. It is not installed.
"""
