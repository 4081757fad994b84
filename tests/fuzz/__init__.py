"""Requests that no client would send, to the registry in this process on a real database and a real store."""
