"""NeuralFlow as a person meets it: a real Chromium before a real server."""
