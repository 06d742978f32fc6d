"""Sound files converted: read, converted whole, written, measured; many of them over several processes."""
