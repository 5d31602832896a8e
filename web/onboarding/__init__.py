"""The first steps that a new user's dashboard offers."""
