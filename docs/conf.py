"""How Sphinx builds the documentation: `make docs`."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

project = "ALLabel for Label Studio"
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3

# Docstrings are written with ``code`` and `code` alike.
default_role = "code"
autodoc_member_order = "bysource"
# Else a default such as a function is shown by its repr, and the signature cannot be read.
autodoc_preserve_defaults = True
maximum_signature_line_length = 90

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
