"""The reference's realtime loop, to which tests and benchmarks hold the live converter."""
