"""Object store and child process."""
