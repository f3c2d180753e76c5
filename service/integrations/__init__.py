"""Retrievers for other frameworks: one file each, which asks a server through the client."""
