"""Blocks with memory: `feed(x) → y`, and a `delay`. No torch, no threads, no files.

However the input is cut into feeds, the bits that come out are the same.
"""
