"""How people reach it: HTTP, the search page and the command line."""
