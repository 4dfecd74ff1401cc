"""Sphinx's configuration: the chapters as pages, by the extension in `rendering`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = html_title = "minirl"
author = "the authors of minirl"
extensions = ["myst_parser", "rendering"]
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
exclude_patterns = ["rendering", "_build"]
html_theme = "furo"
html_static_path = ["book.css", "living.css", "living.js"]
html_css_files = ["book.css", "living.css"]
html_js_files = [("living.js", {"defer": "defer"})]
html_copy_source = False
smartquotes = False
html_show_sphinx = html_show_copyright = False
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"
