"""The collections: their fields, rules, and the schemas made of them."""
