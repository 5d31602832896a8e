"""Ways of attacking the store, each with `run(count, seed)` that returns a report."""
