"""The activity page: what somebody did, in words."""
