"""The endpoints that are not those of one collection."""
