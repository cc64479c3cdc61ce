"""What must hold on every page. Each check returns the faults it finds, so that broken pages can prove it sees them."""

from __future__ import annotations

import posixpath
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from playwright.sync_api import Page

from tools import frontend
from tools.serve import base

# Faults of the theme that axe may report: rule -> why it stays. Our own layout has none.
ALLOWED: dict[str, str] = {}


def mathematics(page: Page) -> list[str]:
    """Every formula is drawn, none is red, no TeX is left in the text."""
    return page.evaluate(r"""() => {
        const faults = [...document.querySelectorAll(".math")].filter(node => !node.querySelector(".katex .katex-html"))
            .map(node => `formula not drawn: ${node.textContent.slice(0, 60)}`);
        for (const node of document.querySelectorAll(".katex-error")) faults.push(`formula in error: ${node.title}`);
        const walk = document.createTreeWalker(document.querySelector("main") ?? document.body, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
            const text = walk.currentNode, parent = text.parentElement;
            if (/\\[a-zA-Z]{2,}|\$\$|\\\(/.test(text.data) && !parent.closest("code, pre, script, annotation, .katex"))
                faults.push(`TeX left in the text: ${text.data.trim().slice(0, 60)}`);
        }
        return faults;
    }""")


def diagrams(page: Page) -> list[str]:
    """Every Mermaid block is a drawing with a name and a description."""
    return page.evaluate("""() => [...document.querySelectorAll(".mermaid, .language-mermaid, .highlight-mermaid")]
        .filter(node => ![...node.querySelectorAll("svg")].some(svg =>
            ["title", "desc", ".node"].every(part => svg.querySelector(part)?.textContent)))
        .map(node => `diagram not drawn or not described: ${node.textContent.trim().slice(0, 60)}`)""")


def pictures(page: Page) -> list[str]:
    """Every picture has alternative text that is no file name, or is marked as decoration."""
    return page.evaluate(r"""() => {
        const name = node => node.getAttribute("aria-label") ?? node.alt ?? "";
        const decoration = node => node.closest("[aria-hidden=true], a, summary, .katex") && !name(node);
        return [...document.querySelectorAll("img, svg:not(.diagram)")].filter(node => !decoration(node)
            && (name(node).trim().length < 10 || /^\S*\.(png|svg|jpe?g)$/.test(name(node))))
            .map(node => `picture without alternative text: ${node.outerHTML.slice(0, 80)}`);
    }""")


def fits(page: Page) -> list[str]:
    """Diagrams and figures need no scrolling; formulas and tables may scroll inside themselves."""
    return page.evaluate("""() => [...document.querySelectorAll(".mermaid, .par-figure")]
        .filter(node => node.checkVisibility() && node.scrollWidth > node.clientWidth + 1)
        .map(node => `does not fit, ${node.scrollWidth} px on ${node.clientWidth}: ${node.className}`)""")


def legible(page: Page) -> list[str]:
    """Words of a figure are ten pixels high or more, stand inside the page, and no two of them on one another."""
    return page.evaluate("""() => {
        const frames = [...document.querySelectorAll("[data-frame][hidden]")], faults = [];
        for (const frame of frames) frame.hidden = false;
        for (const svg of document.querySelectorAll(".par-svg")) {
            if (!svg.checkVisibility()) continue;
            const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
            const words = [...svg.querySelectorAll("text")].filter(text => text.textContent.trim())
                .map(text => ({text: text.textContent.replace(/\\s+/g, ""), box: text.getBoundingClientRect(),
                               size: parseFloat(getComputedStyle(text).fontSize) * scale}));
            words.forEach(({text, box, size}, i) => {
                if (size < 10) faults.push(`small, ${size.toFixed(1)} px: ${text}`);
                if (box.left < 0 || box.right > innerWidth) faults.push(`cut off: ${text}`);
                for (const other of words.slice(i + 1)) {
                    const wide = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
                    const high = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
                    if (wide > 2 && high > 3) faults.push(`on one another: ${text}, ${other.text}`);
                }
            });
        }
        for (const frame of frames) frame.hidden = true;
        return [...new Set(faults)];
    }""")


def sideways(page: Page) -> list[str]:
    """The page does not scroll sideways, and what scrolls inside it can be reached by keyboard."""
    return page.evaluate("""() => {
        const root = document.documentElement, faults = [];
        if (root.scrollWidth > innerWidth) faults.push(`page is ${root.scrollWidth} px wide on ${innerWidth}`);
        for (const box of document.querySelectorAll("main *"))
            if (box.checkVisibility() && box.scrollWidth > box.clientWidth + 1 && box.clientWidth && box.tabIndex < 0
                && ["auto", "scroll"].includes(getComputedStyle(box).overflowX))
                faults.push(`scrolls, but not by keyboard: ${box.outerHTML.slice(0, 80)}`);
        return faults;
    }""")


def heard(page: Page) -> list[str]:
    """A screen reader hears one title, headings that step down one by one, named landmarks and named pictures."""
    return page.evaluate("""() => {
        const faults = [], spoken = node => {
            const copy = node.cloneNode(true);
            copy.querySelectorAll("[aria-hidden=true]").forEach(part => part.remove());
            return copy.textContent.trim();
        };
        const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(it => it.checkVisibility());
        const titles = headings.filter(node => node.tagName === "H1").length;
        if (titles !== 1) faults.push(`titles: ${titles}`);
        headings.forEach((node, place) => {
            const level = +node.tagName[1], before = place ? +headings[place - 1].tagName[1] : 0, words = spoken(node);
            if (level > before + 1) faults.push(`heading of level ${level} after ${before}: ${words}`);
            if (!words) faults.push(`heading without words: ${node.outerHTML.slice(0, 80)}`);
            if (words.endsWith("#")) faults.push(`heading with a sign: ${words}`);
        });
        const names = [...document.querySelectorAll("nav")].map(node =>
            node.ariaLabel ?? document.getElementById(node.getAttribute("aria-labelledby"))?.textContent);
        if (names.some(each => !each?.trim())) faults.push("landmark without a name");
        if (new Set(names).size < names.length) faults.push(`landmarks of one name: ${names}`);
        for (const kind of ["header", "main"])
            if (document.querySelectorAll(`${kind}`).length !== 1) faults.push(`not one ${kind}`);
        for (const node of document.querySelectorAll("svg[role=img], figure svg, img")) {
            const named = node.ariaLabel ?? node.alt ?? node.querySelector("title")?.textContent ?? "";
            if (!named.trim() && !node.closest("[aria-hidden=true], a"))
                faults.push(`picture without a name: ${node.outerHTML.slice(0, 80)}`);
        }
        return faults;
    }""")


@cache
def _axe() -> str:
    return (frontend.install() / "axe-core" / "axe.min.js").read_text("utf-8")


def accessibility(page: Page) -> list[str]:
    """axe-core finds nothing beyond the written allow-list; formulas are read from their MathML."""
    page.evaluate(_axe())
    found = page.evaluate("async () => (await axe.run({ exclude: ['.katex-html'] })).violations")
    return [f"{fault['id']}: {fault['nodes'][0]['html'][:120]} {fault['nodes'][0]['failureSummary'][:300]}"
            for fault in found if fault["id"] not in ALLOWED]


def links(path: Path, site: Path) -> list[str]:
    """Every link within the site leads to a page, and to a place on it, that exist."""
    faults = []
    soup = BeautifulSoup(path.read_text("utf-8"), "html.parser")
    for node in soup.select("[href], [src]"):
        link = str(node.get("href") or node.get("src"))
        target = urlsplit(link)
        if target.scheme or target.netloc:
            continue
        folder = posixpath.dirname(path.relative_to(site).as_posix())
        place = posixpath.normpath(posixpath.join(base(), folder, unquote(target.path)))
        file = site / posixpath.relpath(place, base()) if target.path else path
        if not file.is_file():
            faults.append(f"link to nothing: {link}")
        elif target.fragment and unquote(target.fragment) not in _places(file, file.stat().st_mtime_ns):
            faults.append(f"link to no place: {link}")
    return faults


@cache
def _places(file: Path, _changed: int) -> frozenset[str]:
    """Where links into a page may lead; read once while it stays as it is."""
    return frozenset(re.findall(r'\bid="([^"]*)"', file.read_text("utf-8")))


def foreign(text: str) -> list[str]:
    """A page names no other host as the source of a script, style, font or picture."""
    sources = re.findall(r'<(?:script|img|source|iframe)\b[^>]*\bsrc="((?:https?:)?//[^"]+)', text)
    sources += re.findall(r'<link\b[^>]*rel="(?:stylesheet|preload|icon)"[^>]*href="((?:https?:)?//[^"]+)', text)
    sources += re.findall(r"url\(['\"]?(https?://[^)'\"]+)", text)
    return [f"source on another host: {source}" for source in sources]
