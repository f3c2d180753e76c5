"""The soak: the real server and a second one, writers, deleters, an indexer and 32 searchers for minutes on one index."""
