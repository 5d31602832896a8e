"""People: accounts, how they sign in, and the API of what they own."""
