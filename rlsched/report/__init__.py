"""Results → tables, figures, one self-contained page."""
