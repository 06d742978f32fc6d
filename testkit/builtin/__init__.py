"""Makes and measures sounds for the built-in voices: sung and spoken test signals, pitch, harmonics, loudness."""
