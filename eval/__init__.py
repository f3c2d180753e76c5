"""How good and how fast it is. It uses what a user could use: the public names of ``indexer``."""
