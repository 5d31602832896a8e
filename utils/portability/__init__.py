"""Everything of a person in one archive, out and in."""
