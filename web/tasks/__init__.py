"""The pages of tasks: list, board, agenda, calendar and bulk changes."""
