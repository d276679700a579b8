"""State → features."""
