"""State and events → a number, in named terms."""
