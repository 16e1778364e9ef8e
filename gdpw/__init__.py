"""Animate a portrait by the motion of a mesh: tensors in, tensors out. Knows no FLAME, no files and no Ray."""
