"""Light voices: small nets of our own that turn any speaker into one of ours on any CPU, without torch."""
