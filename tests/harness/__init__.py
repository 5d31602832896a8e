"""Attacks on the store. Each module has `run(count, seed)`, which returns a report."""
