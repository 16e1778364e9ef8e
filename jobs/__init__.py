"""Commands and the graphs they run."""
