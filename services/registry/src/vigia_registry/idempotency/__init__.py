"""Requests that come twice: the same token with the same parameters gets the same answer."""
