"""Information for operators: status, inspection, integrity checks and run reports."""
