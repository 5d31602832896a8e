"""Operations: management commands, system checks and console output."""
