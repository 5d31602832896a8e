"""Features that only tasks have: quick-add text and recurrence."""
