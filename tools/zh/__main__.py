"""What the Chinese lacks: `python -m tools.zh --name 05` (`make zh NAME=05`) lists it and writes a skeleton to fill in.

For each stale block the change of the English is shown beside the old Chinese. `_build/zh/` then holds the page's file,
what is missing with its English above it, and the strings that its catalogue lacks.
"""
from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from tools import frontend, report
from tools.book import complete, ledger, made
from tools.execute import Job, Settings, cached, published
from tools.notebooks import ROOT, Mistake, cells, chapters, command, read, write
from tools.zh import blocks, check, gate, lines, notebook, stage


def pages(root: Path, name: str) -> list[str]:
    """The pages whose names begin so and that have blocks to translate: chapters, pages in Markdown, the glossary."""
    every = [path.stem for path in chapters(root)] + sorted(path.stem for path in (root / "chapters").glob("*.md"))
    chosen = [page for page in [*every, "glossary", *lines.PAGES] if page.startswith(name)]
    if not chosen:
        raise Mistake(f"NAME must begin like one of {', '.join(every)}, got {name!r}")
    return chosen


def runs(root: Path) -> dict[str, NotebookNode]:
    """The executed chapters: of today, or the last ones if their cells are still the same, which is enough to read."""
    settings, found = Settings(), {}
    for path in chapters(root):
        last = root / "_build" / "executed" / path.name
        ran = cached(Job(path, complete(path, settings))) or (read(last) if last.is_file() else None)
        if ran and [c.source for c in cells(ran) if c.cell_type == "code"] == [
                c.source for c in read(path).cells if c.cell_type == "code"]:
            found[path.stem] = ran
    return found


def before(root: Path, name: str, block: str, of: str) -> str:
    """The English of a block as it was when its Chinese was made; "" where no commit has it."""
    files = [f"chapters/{name}.ipynb", f"chapters/{name}.md"]
    asked = ["git", "-C", str(root), "log", "--format=%H", "-n", "300", "--", *files]
    for commit in subprocess.run(asked, capture_output=True, text=True).stdout.split():
        for file in files:
            shown = subprocess.run(["git", "-C", str(root), "show", f"{commit}:{file}"], capture_output=True, text=True)
            if shown.returncode == 0:
                found = blocks.of_page(shown.stdout) if file.endswith(".md") else blocks.of_notebook(
                    nbformat.reads(shown.stdout, as_version=4))
                if blocks.digest(found.get(block, "")) == of:
                    return found[block]
    return ""


def listed(root: Path, name: str) -> Iterator[str]:
    """For each stale block, what changed in English, and the old Chinese."""
    said = blocks.chinese(root, name) or {}
    for block, text in stage.english(root, name).items():
        if block in said and check.stale(said[block], text):
            old = before(root, name, block, said[block]["of"])
            yield f"\n== {name}, {block}\n{check.change(old, text) if old else text}\n-- the Chinese so far\n" \
                  f"{said[block].get('text', said[block].get('comments'))}"


def skeleton(root: Path, name: str) -> str:
    """The page's file as it should be: what is of today stays, the rest stands there with its English above it."""
    said = blocks.chinese(root, name) or {}
    code = {cell.id for path in chapters(root) if path.stem == name for cell in read(path).cells
            if cell.cell_type == "code"}
    lines = [f"# The Chinese of chapters/{name}: block -> of, the hash of its English, and the text."]
    for block, text in stage.english(root, name).items():
        entry, fresh = said.get(block, {}), block in said and not check.stale(said[block], text)
        lines += [""] + ([] if fresh else [f"# {line}".rstrip() for line in text.splitlines()])
        lines += [f"{json.dumps(block) if not block.replace('-', '').isalnum() else block}:",
                  f"  of: {json.dumps(blocks.digest(text))}"]
        if block in code:
            lines += ["  comments:", *(f"    - {json.dumps(str(words), ensure_ascii=False)}" for words in
                                       entry.get("comments", [""] * len(text.splitlines())))]
        else:
            lines += ["  text: |-", *(f"    {line}".rstrip() for line in str(entry.get("text", "")).splitlines())]
    return "\n".join(lines) + "\n"


def lacking(root: Path, name: str, executed: Mapping[str, NotebookNode], entries: Mapping[str, Any]) -> list[str]:
    """The strings of a chapter's outputs and checkers that have no Chinese."""
    if name in lines.PAGES:
        said = lines.catalogue(root, name)
        lines.page(lines.english(root, executed, entries)[name], said)
        return list(said.missing)
    if name not in executed:
        return []
    bands = {each: result["band"] for each, result in entries["chapters"][name]["results"].items()}
    page = stage.merge(read(next(path for path in chapters(root) if path.stem == name)), executed[name], bands, "zh")
    return [*gate.asked(root, name, page).missing, *gate.quoted_names(root, name, executed)]


def show(root: Path, executed: Mapping[str, NotebookNode], entries: Mapping[str, Any], present: list[str]) -> None:
    """Build some of the Chinese pages by themselves, whole or not, into `_build/site-zh/`."""
    facts = {"times": report.times(dict(entries), {path.stem: read(path) for path in chapters(root)}, executed),
             "machine": entries["machine"], "profile": entries["profile"], "pdf": False}
    staged = stage.stage(root, executed, entries, facts, present)
    frontend.vendor(staged)
    target = root / "_build" / "site-zh"
    shutil.rmtree(target, ignore_errors=True)
    made(root, staged).rename(target)
    print(f"  {target / 'index.html'}")


def main() -> int:
    """The command line behind `make zh`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="", help="the beginning of a page's name")
    parser.add_argument("--show", action="store_true", help="build the Chinese pages that begin so, with the cover")
    parser.add_argument("--write", action="store_true", help="write the notebooks that Colab opens, of whole pages")
    asked = parser.parse_args()
    executed = runs(ROOT)
    entries = ledger(ROOT, Settings(), executed, published(ROOT, Settings()))
    if asked.write:
        for path in chapters(ROOT, asked.name):
            if blocks.chinese(ROOT, path.stem) and notebook.put(ROOT, path.stem):
                print(f"  {notebook.place(ROOT, path.stem).relative_to(ROOT)}")
    found = gate.review(ROOT, executed, entries)
    if asked.show:
        show(ROOT, executed, entries, sorted({"intro", *(page for page in found if page.startswith(asked.name))}))
    wrong = [words for page, some in found.items() if page.startswith(asked.name) for words in some]
    for name in pages(ROOT, asked.name) if asked.name else sorted(found):
        for change in listed(ROOT, name):
            print(change)
        target = ROOT / "_build" / "zh" / f"{name}.yml"
        target.parent.mkdir(parents=True, exist_ok=True)
        if name not in lines.PAGES:
            write(target, skeleton(ROOT, name))
        texts = lacking(ROOT, name, executed, entries)
        if texts:
            write(target.with_suffix(".strings.yml"), yaml.safe_dump(
                {"strings": dict.fromkeys(texts, "")}, allow_unicode=True, sort_keys=False, width=10_000))
    print("\n".join(wrong) or "  every page that is there in Chinese is whole")
    return bool(wrong)


if __name__ == "__main__":
    command(main)
