"""Sphinx configuration. The reference pages are written by ``generate.py`` before."""

project = "Fieldloom"
author = "The Fieldloom developers"
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Scientific workflows from YAML flow specs",
    "fixed_sidebar": True,
    "page_width": "1100px",
}
