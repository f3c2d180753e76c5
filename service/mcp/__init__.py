"""The Model Context Protocol: a language model's own way to search the collection, over standard input and output or HTTP."""
