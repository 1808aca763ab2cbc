"""A picture of a report as GitHub shows it, for the README and for whoever changes a report's words.

    mlflow-platform preview prod --offline --against HEAD --form comment | python -m tests.delivery.preview.picture FILE

The README's own is of a recorded plan:

    python -m tests.delivery.preview.picture docs/report.png \\
        < tests/delivery/preview/reports/e-sku-and-standby.staging.markdown

Needs Chromium. Details are shown folded; colours and sizes are near GitHub's.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

from tests.support.browser import chromium

WIDTH, HEIGHT = 820, 640
_ALERTS = {"CAUTION": "#cf222e", "WARNING": "#9a6700"}
_STYLE = """
body { font: 15px/1.5 'DejaVu Sans', sans-serif; margin: 18px 24px; color: #1f2328; }
h3 { margin: 0 0 12px; font-size: 19px }
code { background: #eff1f3; padding: 1px 5px; border-radius: 5px; font-size: 85% }
table { border-collapse: collapse; margin: 12px 0 } td, th { border: 1px solid #d1d9e0; padding: 5px 12px }
blockquote { margin: 12px 0; padding: 2px 14px; border-left: 4px solid }
blockquote ol { margin: 4px 0; padding-left: 22px }
sub { color: #59636e; vertical-align: baseline; font-size: 12px } details { margin: 10px 0 }
"""


def page(markdown: str) -> str:
    """The report as a page; an alert of GitHub is a quotation with its colour and its name."""
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    for name, colour in _ALERTS.items():
        head = f'<blockquote style="border-color: {colour}">\n<p><b style="color: {colour}">{name.title()}</b>'
        body = re.sub(rf"<blockquote>\n<p>\[!{name}\]", head, body)
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>{body}"


def picture(markdown: str, file: Path, *, height: int = HEIGHT) -> None:
    """Write the picture. Raises RuntimeError where there is no Chromium."""
    browser = chromium()
    if browser is None:
        raise RuntimeError("There is no Chromium. Run: sh tools/browser.sh")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "report.html"
        source.write_text(page(markdown))
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{height}"),
                *(f"--screenshot={file.resolve()}", source.as_uri()),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


if __name__ == "__main__":
    picture(sys.stdin.read(), Path(sys.argv[1]))
