"""Real servers for tests: a private PipeWire session (session.py) and a desktop with systemd (desktop)."""
