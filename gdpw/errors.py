"""Expected faults of weights in files."""


class CheckpointError(ValueError):
    """A file that does not hold the weights it should; one line: the file, what is wrong, what to do."""
