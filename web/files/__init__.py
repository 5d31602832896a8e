"""The pages of a user's own JSON files and their versions."""
