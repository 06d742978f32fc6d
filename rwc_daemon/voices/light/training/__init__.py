"""How light voices are made: parallel speech by a teacher, features, nets, losses, and the loop that joins them.

Only training imports this; a light voice that converts needs none of it.
"""
