"""Photograph every page at three widths in both themes, onto one sheet in `_build/contact-sheet/`."""

from __future__ import annotations

from pathlib import Path

from tests.site.browser import SITE, Theme, chromium, serve, visit
from tools.serve import base

WIDTHS = (1440, 820, 390)
THEMES: tuple[Theme, ...] = ("light", "dark")


def main(site: Path = SITE) -> Path:
    """Return the sheet."""
    target = site.parent / "contact-sheet"
    target.mkdir(exist_ok=True)
    rows = []
    with chromium() as browser, serve(site, base()) as address:
        for path in sorted(site.rglob("*.html")):
            name = path.relative_to(site).as_posix()
            for theme in THEMES:
                with visit(browser, address + name, theme=theme) as opened:
                    for width in WIDTHS:
                        opened.page.set_viewport_size({"width": width, "height": 900})
                        shot = f"{name.replace('/', '-').removesuffix('.html')}-{width}-{theme}.png"
                        opened.page.screenshot(path=target / shot, full_page=True)
                        alt = f"{name}, {width} px, {theme}"
                        rows.append(f'<a href="{shot}"><img src="{shot}" alt="{alt}" width="{width // 4}"></a>')
    sheet = target / "index.html"
    sheet.write_text(f"<!doctype html><title>Contact sheet</title>{''.join(rows)}", "utf-8")
    return sheet


if __name__ == "__main__":
    print(main())
