"""One file a command: arguments -> config -> the `run` of its job, which is imported only when it is called."""
