"""What a signed-in person sees, and what an operator runs."""
