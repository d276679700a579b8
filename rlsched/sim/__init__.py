"""Columns → state → state: the compiled core and its readable twin."""
