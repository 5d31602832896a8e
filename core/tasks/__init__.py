"""The pages of tasks: the list, the board, the agenda."""
