"""The linter: what in a trace would change results, with row numbers and what replay does about it.

``check`` looks at columns, ``check_file`` reads a file first. A rule is one function in one line of
a table (`RULES`); what a reader says it did is sorted by `ENTRIES`.
"""

from __future__ import annotations

from rlsched.traces.lint.account import ENTRIES
from rlsched.traces.lint.check import RULES, Report, check, check_file
from rlsched.traces.lint.finding import Finding, Hit, Rule, Subject
from rlsched.traces.lint.head import Head

__all__ = ["ENTRIES", "RULES", "Finding", "Head", "Hit", "Report", "Rule", "Subject", "check", "check_file"]
