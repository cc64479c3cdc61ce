"""What a chapter reaches decides when it runs again: through other modules, inside functions, by name in a string."""
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.tiny_book import Book
from tools.closure import DRAWN, reached
from tools.execute import key
from tools.notebooks import ROOT, chapters, read, syntax

LIB = {
    "lib/method.py": "from lib.deep import far\n",
    "lib/deep/__init__.py": "",
    "lib/deep/far.py": "def late():\n    from . import last\n    return last\n",
    "lib/deep/last.py": "x = 1\n",
    "lib/service.py": "import lib.only_service\n",
    "lib/only_service.py": "",
    "lib/told.py": '"""Beside `lib.service`."""\n',
    "chapters/checks/__init__.py": "",
    "chapters/checks/ch01.py": "from lib import method\n",
}
HOPS = ["lib/__init__.py", "lib/deep/__init__.py", "lib/deep/far.py", "lib/deep/last.py", "lib/method.py"]
SERVICE = ["lib/__init__.py", "lib/only_service.py", "lib/service.py"]


def reach(book: Book, *code: str) -> list[str]:
    """What a chapter of this code reaches, without the record that every tiny chapter imports."""
    for name, text in LIB.items():
        (book.root / name).parent.mkdir(exist_ok=True)
        (book.root / name).write_text(text)
    found = [str(path.relative_to(book.root)) for path in reached(book.root, read(book.chapter("01-a", *code).chapter))]
    return [name for name in found if not name.startswith("lib/book")]


@pytest.mark.parametrize(("code", "expected"), [
    ("1", ["lib/__init__.py"]),
    ("import lib.method", HOPS),
    ("from lib import method as m", HOPS),
    ("from lib.method import anything", HOPS),
    ("def later():\n    from lib.method import x", HOPS),
    ("!true\nimport lib.method", HOPS),
    ("run([sys.executable, '-m', 'lib.service'])", SERVICE),
    ("run('python -m lib.service --port 1')", SERVICE),
    ("run(f'{python} -m lib.service {port}')", SERVICE),
    ("run('from lib import told, service; service.main()')", [*SERVICE, "lib/told.py"]),
    ("import lib.told", ["lib/__init__.py", "lib/told.py"]),
    ("import libra.service, os, numpy", ["lib/__init__.py"]),
    ("'see mylib.service'", ["lib/__init__.py"]),
    ("from checks.ch01 import right", ["chapters/checks/__init__.py", "chapters/checks/ch01.py", *HOPS]),
])
def test_what_code_reaches(book: Book, code: str, expected: list[str]) -> None:
    assert reach(book, code) == expected


def test_a_comment_in_the_service_runs_only_the_chapters_that_reach_it(book: Book) -> None:
    reach(book)
    near, far = book.chapter("01-a", "run('python -m lib.service')"), book.chapter("02-b", "from lib import method")
    before = key(near), key(far)
    (book.root / "lib" / "service.py").write_text(LIB["lib/service.py"] + "# said again\n")
    assert (key(near) != before[0], key(far) != before[1]) == (True, False)
    before = key(near), key(far)
    (book.root / "lib" / "deep" / "last.py").write_text("x = 2\n")
    assert (key(near) != before[0], key(far) != before[1]) == (False, True), "two hops, one of them inside a function"
    before = key(near), key(far)
    (book.root / "lib" / "deep" / "__init__.py").write_text("y = 1\n")
    assert (key(near) != before[0], key(far) != before[1]) == (False, True)


def test_what_python_loads_is_reached() -> None:
    """An oracle that imports: every module of `lib` that a chapter's own imports load is among those that were read."""
    notebook = read(chapters(ROOT)[-1])
    lines = [ast.unparse(node) for cell in notebook.cells if cell.cell_type == "code" for node in syntax(cell).body
             if isinstance(node, ast.Import | ast.ImportFrom)]
    tell = "import sys\nprint(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'lib'))"
    done = subprocess.run([sys.executable, "-c", "\n".join([*lines, tell])], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    loaded = {Path(name) for name in done.stdout.split()}
    drawn = {ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in DRAWN}
    assert len(loaded) > 5 and loaded - drawn <= set(reached(ROOT, notebook))
