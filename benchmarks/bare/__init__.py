"""NeuralFlow with an additional page that returns "ok": the baseline of the pages benchmark."""
