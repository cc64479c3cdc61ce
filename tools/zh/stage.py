"""The tree that makes the Chinese site: the same run as the English one, with the prose and the strings in Chinese.

A page is Chinese where `chapters/zh/NAME.yml` holds the whole of it; a page without one is listed and linked as the
English page that it is.
"""
from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from docutils.nodes import make_id
from nbformat import NotebookNode

from lib.book import languages
from lib.book.languages import Catalogue
from tools import llms, moved, quoted, register
from tools.fold import TITLE, folds
from tools.notebooks import chapters, read, record_calls
from tools.stage import merge
from tools.zh import blocks, check, lines
from tools.zh.blocks import ABOUT, FOLDER, Blocks

TAG = "zh_CN"
FRAME = ("_config.yml", "_toc.yml")
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([\w-]+)\.(?:ipynb|md)(#[\w-]+)?\)")
HREF = re.compile(r'href="([\w-]+)\.html(#[^"]*)?"')


def catalogue(root: Path, *names: str) -> Catalogue:
    """A fresh catalogue of the book's strings and those of these files, whose use is its own."""
    return languages.read(root / FOLDER / "words", "book", *names)


def held(root: Path, stem: str) -> dict[str, Any]:
    """What a chapter's file of strings holds beside them: `data`, the cells that print data."""
    path = root / FOLDER / "words" / f"{stem[:2] if stem[:2].isdigit() else stem}.yml"
    return yaml.safe_load(path.read_text("utf-8")) or {} if path.is_file() else {}


def outputs(page: NotebookNode, words: Catalogue, data: Collection[str] = ()) -> NotebookNode:
    """A chapter's outputs in Chinese, in place; what the catalogue lacks is noted in it.

    Args:
        page: its cards are drawn in Chinese.
        data: the cells that print data in English, such as sentences of the corpus.
    """
    for cell in page.cells:
        for output in cell.get("outputs", []):
            asked = cell.id not in data
            if output.output_type == "stream":
                output.text = words.printed("".join(output.text), asked=asked)
            elif "data" in output:
                output.data = nbformat.from_dict(words.output(output.data, asked=asked))
    return page


def prose(page: NotebookNode, chinese: Mapping[str, Any], words: Catalogue) -> NotebookNode:
    """A chapter's text, its comments and the titles of its folded cells in Chinese, in place."""
    english = blocks.of_notebook(page)
    for cell in page.cells:
        entry = chinese.get(cell.id)
        if cell.cell_type == "markdown" and entry:
            cell.source = check.said(cell.id, entry, english[cell.id])
        elif cell.cell_type == "code" and folds(cell):
            first, newline, rest = cell.source.partition("\n")
            title = first.removeprefix(TITLE)
            cell.source = f"{TITLE}{words.say(title, asked=False)}{newline}{rest}"
        elif cell.cell_type == "code" and entry:
            cell.source = blocks.commented(cell.source, entry["comments"])
    if ABOUT in chinese:
        page.metadata["myst"] = {"html_meta": {"description lang=zh": chinese[ABOUT]["text"]}}
    return page


def lead_on(page: NotebookNode, english: Blocks, old: Mapping[str, str]) -> None:
    """Put the old anchors of a chapter above the headings that took their content, as on its page in English."""
    for cell in page.cells:
        if cell.cell_type == "markdown":
            pairs = zip(blocks.headings(english.get(cell.id, "")), blocks.headings(cell.source), strict=False)
            for heading, said in pairs:
                was = "".join(f'<div id="{name}"></div>' for name, now in old.items() if now == blocks.slug(heading))
                cell.source = cell.source.replace(said, f"{was}\n\n{said}", 1) if was else cell.source


def markdown(english: Blocks, chinese: Mapping[str, Any]) -> str:
    """A page in Chinese, from the sections of the English one."""
    meta = {"myst": {"html_meta": {"description lang=zh": chinese[ABOUT]["text"]}}} if ABOUT in chinese else {}
    front = f"---\n{yaml.safe_dump(meta, width=1000, allow_unicode=True)}---\n\n" if meta else ""
    parts = (check.said(name, chinese[name], text) for name, text in english.items() if name != ABOUT)
    return front + "\n\n".join(parts) + "\n"


def entered(text: str, name: str, said: Mapping[str, Any], words: Catalogue) -> str:
    """A page that is made of entries, in Chinese."""
    meta = {"myst": {"html_meta": {"description lang=zh": said.get(ABOUT, name)}}}
    return f"---\n{yaml.safe_dump(meta, width=1000, allow_unicode=True)}---\n\n{lines.page(text, words)}"


def slugs(english: Blocks) -> list[str]:
    """The ids of a page's sections in English, which the Chinese page keeps."""
    return [blocks.slug(heading) for text in english.values() for heading in blocks.headings(text)]


def led(text: str, present: Collection[str]) -> str:
    """Markdown whose links to pages without Chinese lead to the English ones."""
    def link(match: re.Match[str]) -> str:
        if match[2] in present:
            return match[0]
        return f'<a href="../../chapters/{match[2]}.html{match[3] or ""}" hreflang="en">{match[1]}</a>'

    def href(match: re.Match[str]) -> str:
        return match[0] if match[1] in present else (
            f'href="../../chapters/{match[1]}.html{match[2] or ""}" hreflang="en"')

    parts = quoted.CODE.split(text)
    return "".join(part if n % 2 else LINK.sub(link, HREF.sub(href, part)) for n, part in enumerate(parts))


def glossary(root: Path, sources: Mapping[str, NotebookNode], present: Collection[str]) -> str:
    """The page of terms: the Chinese one first, its English beside it, the sentence from `chapters/zh/glossary.yml`."""
    said = blocks.chinese(root, "glossary") or {}
    about = yaml.safe_dump({"myst": {"html_meta": {"description lang=zh": said[ABOUT]["text"]}}}, allow_unicode=True,
                           width=1000)
    lines = [f"---\n{about}---", "", "# 术语表", "", "每个术语的中文和英文，各用一句话说明。"]
    for term in merged(root):
        pages = [f"[第 {int(stem[:2])} 章]({stem}.ipynb)" for stem, book in sources.items()
                 if stem in present and stem not in term.get("elsewhere", ()) and register.used(term["term"], book)]
        same = term["chinese"] == term["term"]
        lines += ["", f"[{term['chinese']}]{{#{make_id('term-' + term['term'])}}}" + ("" if same else
                      f"（{term['term']}）"),
                  f": {said[term['term']]['text']}" + (f"见{'、'.join(pages)}。" if pages else "")]
    return "\n".join(lines) + "\n"


def merged(root: Path) -> list[dict[str, Any]]:
    """The glossary's terms in alphabetical order; a term that two chapters define counts once, as on its page."""
    every = [term for some in register.entries(root / "chapters" / "glossary").values() for term in some]
    found = {term["term"].casefold(): term for term in reversed(every)}
    return [found[key] for key in sorted(found)]


def english(root: Path, name: str) -> Blocks:
    """The blocks of a page, also of the glossary, whose blocks are its terms."""
    if name == "glossary":
        return {ABOUT: register.DESCRIPTIONS[name]} | {term["term"]: term["sentence"] for term in merged(root)}
    return blocks.english(root, name)


def stage(root: Path, executed: Mapping[str, NotebookNode], entries: Mapping[str, Any], facts: Mapping[str, Any],
          present: Collection[str]) -> Path:
    """Build `_build/stage-zh/` afresh.

    Args:
        root: the repository.
        executed: chapter -> executed notebook.
        entries: the ledger of the run.
        facts: what the English site knows of the run.
        present: the pages that are Chinese; the cover is one of them.
    """
    target = root / "_build" / "stage-zh"
    shutil.rmtree(target, ignore_errors=True)
    (target / "chapters").mkdir(parents=True)
    sources = {path.stem: read(path) for path in chapters(root)}
    owner = {name: stem for stem, source in sources.items() for name in record_calls(source) if name}
    found = {name: each for chapter in entries["chapters"].values() for name, each in chapter["results"].items()}
    former = moved.table(root / "chapters")
    every = catalogue(root, "site", *(stem[:2] for stem in sources))
    made = lines.english(root, executed, entries) if set(lines.PAGES) & set(present) else {}
    for name in present:
        said = blocks.chinese(root, name) or {}
        if name in sources:
            words, page = catalogue(root, name[:2]), sources[name]
            if name in executed:
                bands = {each: result["band"] for each, result in entries["chapters"][name]["results"].items()}
                page = outputs(merge(page, executed[name], bands, "zh"), words, held(root, name).get("data", ()))
            page = quoted.page(prose(nbformat.from_dict(page), said, words), name, owner, found, "zh", every.say)
            lead_on(page, english(root, name), former.get(name, {}))
            for cell in page.cells:
                if cell.cell_type == "markdown":
                    cell.source = led(cell.source, present)
            (target / "chapters" / f"{name}.ipynb").write_text(nbformat.writes(page), encoding="utf-8")
        else:
            text = (glossary(root, sources, present) if name == "glossary" else
                    entered(made[name], name, said, lines.catalogue(root, name)) if name in lines.PAGES else
                    markdown(english(root, name), said))
            text = every.markup(text, asked=False) if "<svg" in text else text
            text = led(quoted.linked(text, name, owner, found, "zh", every.say), present)
            (target / "chapters" / f"{name}.md").write_text(text, encoding="utf-8")
    contents = frame(root, target, present)
    ids = {name: [name] if name == "glossary" else slugs(
        {name: made[name]} if name in made else english(root, name)) for name in present}
    told = {"language": "zh", "ids": ids,
            "contents": [{"stem": stem, "english": stem not in present, "title": title(root, stem)}
                         for stem in contents], "present": sorted(present)}
    (target / "site.json").write_text(json.dumps(dict(facts) | told, ensure_ascii=False), encoding="utf-8")
    (target / "extra").mkdir()
    (target / "extra" / "llms.txt").write_text(listed(root, target, executed), encoding="utf-8")
    return target


def listed(root: Path, target: Path, executed: Mapping[str, NotebookNode]) -> str:
    """`llms.txt` of the staged pages."""
    config, toc = (yaml.safe_load((target / name).read_text("utf-8")) for name in FRAME)
    judged = register.verdicts(register.entries(root / "chapters" / "claims"), register.judgements(executed))
    home = config["html"]["baseurl"]
    return llms.text(toc | {"chapters": toc.get("chapters", [])}, target, judged, home,
                     ("English", f"{home.removesuffix('zh/')}llms.txt"), lines.catalogue(root, "claims").say)


def whole(root: Path, present: Collection[str]) -> bool:
    """Whether every page of the book is Chinese."""
    toc = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
    return {Path(entry["file"]).name for entry in [{"file": toc["root"]}, *toc["chapters"]]} <= set(present)


def frame(root: Path, target: Path, present: Collection[str]) -> list[str]:
    """Write the settings and the contents of the Chinese site.

    Returns:
        All pages of the book behind the cover, in order.
    """
    config, toc = (yaml.safe_load((root / name).read_text("utf-8")) for name in FRAME)
    words = catalogue(root, "site")
    config["title"], config["author"] = words.say(config["title"]), words.say(config["author"])
    config["copyright"] = words.say(config["copyright"])
    config["html"]["baseurl"] = f"{config['html']['baseurl'].rstrip('/')}/zh/"
    settings = config["sphinx"]["config"]
    settings["language"] = TAG
    for name in ("nb_code_prompt_show", "nb_code_prompt_hide"):
        settings[name] = words.say(settings[name])
    stems = [Path(entry["file"]).name for entry in toc["chapters"]]
    toc["chapters"] = [{"file": f"chapters/{stem}"} for stem in stems if stem in present]
    if not toc["chapters"]:
        del toc["chapters"]  # a cover alone
    for name, held_so in zip(FRAME, (config, toc), strict=True):
        (target / name).write_text(yaml.safe_dump(held_so, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return stems


def title(root: Path, stem: str) -> str:
    """What a page is called in the list of pages: its heading in Chinese, or its name in `words/site.yml`."""
    said = blocks.chinese(root, stem) or {}
    own = [heading for entry in said.values() if isinstance(entry, dict)
           for heading in blocks.headings(str(entry.get("text", "")))]
    return own[0].lstrip("# ") if own else held(root, "site").get("titles", {}).get(stem, stem)
