"""RWC: a microphone for Linux whose voice is converted live."""
