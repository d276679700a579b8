"""Fit a profile to a trace; draw traces from a profile."""
