"""Probes, health and metrics: whether the server does its work, for machines that watch it."""
