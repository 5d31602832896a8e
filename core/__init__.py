"""The web pages for signed-in users, and the commands for operators."""
