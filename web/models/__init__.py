"""The pages of AI models: cards, table, detail page and comparison."""
