"""File → columns."""
