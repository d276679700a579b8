"""Scaling: instances of services over time, stepped by control interval."""
