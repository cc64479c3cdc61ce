"""The one road from notebooks to pages: execute, gate, stage, build."""
from __future__ import annotations

import argparse
import datetime
import filecmp
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from lib.book.cards import CLAIM, FACTS, PROFILES, bounds, hard, status
from lib.evidence import store
from lib.run.machine import processor, speed_ups
from tools import budget, gate, lock, quoted
from tools.execute import SOURCE_DATE_EPOCH, Job, Settings, bands_file, cached, execute, installed, published
from tools.notebooks import ROOT, chapters, command, read, syntax, tags, write
from tools.stage import stage
from tools.zh import gate as zh_gate
from tools.zh import stage as zh

LEDGER_VERSIONS = ("torch", "transformers", "numpy", "scipy", "scikit-learn")
EVIDENCE_LIMITS = (1_000_000, 1_000_000)  # seconds: a sweep takes what it takes, and goes on where it was stopped


def commit(root: Path) -> str:
    """The commit that is checked out, marked where a file beside the results differs; "unknown" outside git."""
    if not (root / ".git").exists():  # an archive of the book, perhaps unpacked inside another repository
        return "unknown"
    found = store.commit(root)
    changed = found["dirty"] and found["commit"] != "unknown"
    return f"{found['commit']}-changed" if changed else str(found["commit"])


def provenance(root: Path, settings: Settings) -> dict[str, Any]:
    """Where numbers come from."""
    versions = {name: installed()[name] for name in LEDGER_VERSIONS if name in installed()}
    return {"commit": commit(root), "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "device": settings.device, "versions": {"python": platform.python_version(), **versions}}


def ledger(root: Path, settings: Settings, executed: Mapping[str, NotebookNode],
           bands: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the runs measured, with the gate's own verdicts: the content of `_build/results.json`."""
    entries = {}
    for chapter, notebook in executed.items():
        facts = {name: notebook.metadata.book[name] for name in ("seconds", "peak_mb", "cached")}
        facts["when"] = notebook.metadata.get("papermill", {}).get("end_time")
        found = {}
        for result in gate.results(notebook):
            if not FACTS - set(result):
                band = None if hard(result) else bands.get(chapter, {}).get(result["name"])
                found[result["name"]] = result | {"status": status(result, band), "band": band and {
                    end: band[end] for end in ("low", "high")}}
        entries[chapter] = facts | {"results": found, "claims": {
            claim["id"]: claim | {"word": gate.word(claim)} for claim in gate.results(notebook, CLAIM)}}
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    measured = {key: ratio for key, ratio in speed_ups().items() if key.startswith(f"{processor()}, torch")}
    path = bands_file(root, settings)
    origin = json.loads(path.read_text("utf-8"))["provenance"] if path.exists() else None
    return {"profile": settings.profile, "seed": settings.seed, "machine": machine, "speed_ups": measured,
            **provenance(root, settings), "bands": origin, "chapters": entries}


def table(entries: Mapping[str, Any]) -> str:
    """The ledger for a terminal, one line a result."""
    lines = []
    for chapter, entry in entries["chapters"].items():
        lines.append(f"{chapter}   {entry['seconds']} s, {entry['peak_mb']} MB{', reused' if entry['cached'] else ''}")
        for name, result in entry["results"].items():
            low, high = bounds(result, result["band"])
            asked = " ".join(f"{sign} {bound:.5g}" for sign, bound in ((">=", low), ("<=", high)) if bound is not None)
            lines.append(f"  {name:<40}{result['value']:>12.5g} {result['unit']:<12} {result['status']:<12}{asked}")
        lines += [f"  claim {name:<34}{claim['word']}" for name, claim in entry["claims"].items()]
    return "\n".join(lines)


def made(root: Path, staged: Path) -> Path:
    """Make the pages of a staged tree from scratch, warnings being errors; returns their folder."""
    name = staged.name.replace("stage", "site")
    out, log = root / "_build" / f"jupyter-book-{name}", root / "_build" / "logs" / f"{name}.log"
    shutil.rmtree(out, ignore_errors=True)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [str(part) for part in (jupyter_book, "build", "-W", "-n", "--keep-going", "--path-output", out, staged)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH, "PYTHONPATH": str(ROOT)}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        done = subprocess.run(command, cwd=staged, env=environment, stdout=stream, stderr=subprocess.STDOUT,
                              pass_fds=lock.held())
    if done.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        wrong = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-30:]
        raise SystemExit("\n".join([f"the site did not build (all of it in _build/logs/{name}.log):", *wrong]))
    for source_map in out.rglob("*.map"):
        source_map.unlink()
    return out / "_build" / "html"


def build(root: Path, staged: Path, chinese: Path | None = None, *, pdf: bool = False) -> None:
    """Build the site in both languages, print it if asked, and put it in the place of the old one."""
    html, site = made(root, staged), root / "_build" / "site"
    if chinese:
        beside(made(root, chinese), html)
    if pdf:
        toc = yaml.safe_load((staged / "_toc.yml").read_text("utf-8"))
        for language in ("en", "zh") if chinese else ("en",):
            say(f"print, {language}")
            importlib.import_module("tools.pdf").write(html, toc, language)
    shutil.rmtree(site, ignore_errors=True)
    html.rename(site)
    for out in (root / "_build").glob("jupyter-book-*"):
        shutil.rmtree(out, ignore_errors=True)


def beside(chinese: Path, html: Path) -> None:
    """Put the Chinese pages into the site as `zh/`; a static file that both languages have stands there once."""
    shared = {path.relative_to(html).as_posix() for path in (html / "_static").rglob("*") if path.is_file()}
    shared = {name for name in shared if (chinese / name).is_file() and filecmp.cmp(chinese / name, html / name, False)}
    named = re.compile(rf"((?:\.\./)*|/[^\"' ]*/zh/)({'|'.join(map(re.escape, sorted(shared)))})(?=[\"'?])")
    for page in chinese.rglob("*.html"):
        page.write_text(named.sub(lambda match: f"{match[1][:-3]}{match[2]}" if match[1].endswith("/zh/") else
                                  f"{match[1]}../{match[2]}", page.read_text("utf-8")), "utf-8")
    for name in shared:
        (chinese / name).unlink()
    for name in ("robots.txt", "sitemap.xml", ".buildinfo", "objects.inv"):
        (chinese / name).unlink(missing_ok=True)
    for folder in sorted((path for path in (chinese / "_static").rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    chinese.rename(html / "zh")


def publish(root: Path, executed: Mapping[str, NotebookNode], entries: dict[str, Any], present: Sequence[str], *,
            pdf: bool = False) -> None:
    """Stage and build in both languages, and print if asked; `present` are the pages that are Chinese."""
    say("stage")
    staged = [stage(root, executed, entries, present=present, pdf=pdf)]
    if present:
        staged.append(zh.stage(root, executed, entries, json.loads((staged[0] / "site.json").read_text("utf-8")),
                               present))
    for tree in staged:
        importlib.import_module("tools.frontend").vendor(tree)
    say("build")
    build(root, *staged, pdf=pdf)


@lock.one_build
def run(root: Path, settings: Settings, *, name: str = "", site: bool = True, pdf: bool = False,
        lighthouse: bool = False) -> int:
    """Execute, gate, stage and build.

    Args:
        root: the repository.
        settings: the parameters of every chapter.
        name: only chapters whose file name begins so are executed; the others join from the cache, if they are there.
        site: False to end at the gate and print the ledger.
        pdf: print the chapters and the book, and link them; needs a browser.
        lighthouse: measure the site in a browser, and put the figures into the page of the run.

    Returns:
        0, or 1 where the gate stays shut; nothing is staged then and the old site stays.
    """
    bands = published(root, settings)
    jobs = {path.stem: Job(path, complete(path, settings)) for path in chapters(root)}
    chosen = [jobs[path.stem] for path in chapters(root, name)]
    say(f"execute {len(chosen)} of {len(jobs)} chapters, PROFILE={settings.profile} SEED={settings.seed}")
    runs = dict(zip([job.chapter.stem for job in chosen], execute(chosen), strict=True))
    others = {stem: notebook for stem, job in jobs.items() if stem not in runs and (notebook := cached(job))}
    executed = {stem: (runs | others)[stem] for stem in jobs if stem in runs or stem in others}
    folder = root / "_build" / "executed"
    shutil.rmtree(folder, ignore_errors=True)
    for stem, notebook in executed.items():
        write(folder / f"{stem}.ipynb", nbformat.writes(notebook))

    say("gate")
    prose = list(quoted.texts(root))
    entries = ledger(root, settings, executed, bands)
    write(root / "_build" / "results.json", json.dumps(entries, indent=1) + "\n")
    if not site:
        print(table(entries))
    problems = gate.check(executed, bands, claims_register(root) if settings.profile == "quick" else None,
                          quoted.names(prose))
    if settings.profile == "quick":
        found = {name: facts for entry in entries["chapters"].values() for name, facts in entry["results"].items()}
        problems += quoted.faults(prose, found, {name: band for each in bands.values() for name, band in each.items()})
        problems += gate.recipe(recipe(root), executed, whole=len(executed) == len(jobs))
    found_zh = zh_gate.review(root, executed, entries) if settings.profile == "quick" else {}
    present = [page for page, wrong in found_zh.items() if not wrong]
    behind = [words for wrong in found_zh.values() for words in wrong]
    if len(executed) == len(jobs) and not name:
        problems += behind
    elif behind:
        print(f"  the Chinese is behind in {len(found_zh) - len(present)} pages, which stay English here (`make zh`)")
    if gone := sorted(set(bands) - set(jobs)):
        problems.append(f"bands are published for chapters that do not exist: {', '.join(gone)}")
    if problems:
        print("\n".join(["the gate stays shut:", *(f"  {problem}" for problem in problems)]), file=sys.stderr)
        return 1
    states = [result["status"] for entry in entries["chapters"].values() for result in entry["results"].values()]
    undecided = f", {states.count('undecided')} of them undecided" if "undecided" in states else ""
    print(f"  {len(states)} results, all within their bounds{undecided}", flush=True)
    if site:
        shown = present if zh.whole(root, present) else []  # readers see a language once it is complete
        if lighthouse:
            publish(root, executed, entries, shown)
            say("measure")
            judge = importlib.import_module("tools.lighthouse")
            entries["lighthouse"] = judge.measure(root / "_build" / "site")
            problems = judge.faults(entries["lighthouse"])
        publish(root, executed, entries, shown, pdf=pdf)
        print("\n".join([*problems, f"  {root / '_build' / 'site' / 'index.html'}"]), flush=True)
    return bool(problems)


def claims_register(root: Path) -> dict[str, dict[str, Any]]:
    """The entries of `chapters/claims/`: id -> quotation, protocol, the verdict that its advice rests on, ..."""
    paths = sorted((root / "chapters" / "claims").glob("*.yml"))
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths}


def recipe(root: Path) -> list[dict[str, Any]]:
    """The rows of the recipe; none where there is no recipe."""
    path = root / "chapters" / "recipe.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else []


@lock.one_build
def evidence(root: Path, settings: Settings, name: str = "") -> int:
    """Let the chapters that declare EVIDENCE run what their committed stores lack; each run is stored as it ends.

    One chapter after the other: a chapter's own workers fill the cores, and some sweeps measure time. It begins with
    what the runs took that are committed and missing here, and ends with what was added, so that parts add up.
    """
    asked = [path for path in chapters(root, name) if declares(read(path), "EVIDENCE")]
    say(f"evidence for {', '.join(path.stem for path in asked) or 'no chapter'}")
    before = budget.stores(root)
    missing = [row for row in budget.took(budget.committed(root), but=before)
               if any(row.store.startswith(path.stem) for path in asked)]
    print("\n".join(["  missing here, and what it took where it was run:", *budget.lines(missing)] if missing else
                    ["  no committed run is missing; what is new shows its own pace"]), flush=True)
    problems = [problem for path in asked
                for notebook in execute([Job(path, settings)], limits=EVIDENCE_LIMITS, again=True)
                for problem in gate.sound(notebook, path.stem)]
    after = budget.stores(root)
    say("added")
    print("\n".join(budget.lines(budget.took(after, but=before))))
    say("stored in all")
    print(budget.lines(budget.took(after))[-1], flush=True)
    print("\n".join(problems), file=sys.stderr)
    return bool(problems)


def complete(path: Path, settings: Settings) -> Settings:
    """The settings of a chapter: in the full profile it makes the runs that nobody has committed."""
    return replace(settings, evidence=settings.profile == "full" and declares(read(path), "EVIDENCE"))


def declares(notebook: NotebookNode, parameter: str) -> bool:
    """Whether the notebook's parameters cell assigns `parameter`."""
    lines = [line for cell in notebook.cells if "parameters" in tags(cell) for line in syntax(cell).body]
    return parameter in {getattr(target, "id", "") for line in lines for target in getattr(line, "targets", [])}


def say(words: str) -> None:
    """Announce a step, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {words}", flush=True)


def arguments() -> argparse.ArgumentParser:
    """The options that all targets share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="quick", help=" or ".join(PROFILES))
    parser.add_argument("--seed", default=0, type=whole)
    return parser


def whole(text: str) -> int:
    """A seed, as it is typed.

    Raises:
        ArgumentTypeError: something else.
    """
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"SEED must be a whole number from 0 up, got {text!r}")
    return int(text)


def main() -> int:
    """The command line behind `make book`, `chapter`, `report` and `evidence`."""
    parser = arguments()
    parser.add_argument("--name", default="", help="the beginning of a chapter's file name")
    parser.add_argument("--report", action="store_true", help="end at the gate and print the ledger")
    parser.add_argument("--evidence", action="store_true", help="run the sweeps that the committed evidence lacks")
    parser.add_argument("--pdf", action="store_true", help="print the chapters and the book as well")
    parser.add_argument("--lighthouse", action="store_true", help="measure the site in a browser as well")
    asked = parser.parse_args()
    settings = Settings(asked.profile, asked.seed, asked.evidence)
    if asked.evidence:
        return evidence(ROOT, settings, asked.name)
    return run(ROOT, settings, name=asked.name, site=not asked.report, pdf=asked.pdf, lighthouse=asked.lighthouse)


if __name__ == "__main__":
    command(main)
