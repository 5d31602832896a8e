"""Search over all collections: the page and the command palette."""
