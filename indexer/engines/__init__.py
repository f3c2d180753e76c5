"""Engines: what keeps a collection (contract.py), and how one is named (address.py) and opened (opening.py)."""
