"""A collection on a Milvus server, through its own client."""
