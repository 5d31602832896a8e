"""NeuralFlow with one page more, that says "ok" and nothing else: what pages are measured by."""
