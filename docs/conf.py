"""How ``make docs`` builds these pages; the reason for these tools is in ``adr/011``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import rlsched  # noqa: E402 - found by the line above where the package is not installed

project = "rlsched"
author = "The rlsched maintainers"
copyright = "the rlsched maintainers, Apache-2.0"
version = release = rlsched.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"rlsched {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings are numpydoc; a single backtick in them marks code.
default_role = "literal"
autodoc_typehints = "none"  # the docstrings tell shapes, dtypes and units, which annotations cannot
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def setup(app: Any) -> None:
    """Write the pages that come from the code before the sources are read."""
    from generate import write_pages

    app.connect("builder-inited", lambda _app: write_pages(HERE / "generated"))
