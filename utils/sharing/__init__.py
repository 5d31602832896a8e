"""Projects that people share: who may do what, and who is told of it."""
