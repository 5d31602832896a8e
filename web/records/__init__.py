"""The pages that all collections have: list, form and deletion."""
