"""Scaling rules: one compiled function a file, numbered in the table of `table`."""
