"""``python -m rlsched`` is the command line."""

from rlsched.cli.main import run

run()
