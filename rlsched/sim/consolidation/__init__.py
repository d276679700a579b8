"""The consolidation lever: usage replay, overload, live migration, machines on and off, meters."""
