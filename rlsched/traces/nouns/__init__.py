"""The nouns of traces, one a file; import them from `rlsched.traces.columns`."""
