"""One public trace format per file; the table is ``READERS``."""
