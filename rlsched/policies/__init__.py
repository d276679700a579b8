"""Observation → decision: heuristics, tuned families, learned policies."""
