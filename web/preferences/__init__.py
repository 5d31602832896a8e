"""The settings page of a user: appearance, language, time zone and shortcuts."""
