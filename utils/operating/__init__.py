"""What whoever runs this place is told of it."""
