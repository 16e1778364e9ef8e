"""Stages between video files, FLAME fits and shards: rows in, rows out. Knows nothing of Ray."""
