"""The pages of AI models: cards and a table, one model, and two side by side."""
