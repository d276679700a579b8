"""Consolidation policies that learn: what they move, and the file they come in."""
