"""The dashboard: today, and how everything comes along."""
