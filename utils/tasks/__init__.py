"""What only tasks have: a line of plain words, and repeats."""
