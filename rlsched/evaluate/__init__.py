"""Policies × windows × seeds → tidy results, intervals, verdicts, bounds."""
