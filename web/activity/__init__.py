"""The activity page: a user's activities in words."""
