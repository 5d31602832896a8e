"""How templates say times and words."""
