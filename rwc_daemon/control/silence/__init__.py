"""Why RWC Mic is silent, or would be: every cause is one small module, and `table.py` has their order.

Daemon, status and doctor ask `table.first` with what they know (`observed.Observed`), so they say the same sentence.
A new cause: a module with `def cause(seen: Observed) -> Cause | None`, and a line in the table.
"""
