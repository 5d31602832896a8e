"""Changes of records: one, several at once, and undoing them."""
