"""Export and import of a user's documents as one zip archive."""
