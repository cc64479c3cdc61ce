"""The page of `lib`, from its docstrings and from the examples that the tests run; the code is read, not imported."""
from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

TOP = {
    "The method": ("projection", "adapters", "objectives", "regularizers", "optimizers", "averages", "stopping",
                   "training", "loss", "names"),
    "Data and models": ("data", "models", "evaluation", "activations"),
}
ROOMS = {"Language models": "text", "Data sets": "corpora", "Tasks": "tasks", "A run": "run", "Evidence": "evidence",
         "Pages": "book", "Use": "serve", "Files": "files"}
# Where names stood before they moved: links to the old places lead on.
MOVED = {
    "adapters": ("projection",), "names": ("projection",), "objectives": ("regularizers",),
    "optimizers": ("regularizers",), "averages": ("regularizers",), "stopping": ("training", "regularizers"),
    "evaluation": ("training",), "corpora.sentiment": ("source",), "run.checkpoint": ("checkpoint",),
    "run.frozen": ("lower",), "run.host": ("host",), "run.progress": ("progress",), "evidence.store": ("store",),
    "evidence.sweeps": ("experiments",), "evidence.verdicts": ("verdicts",), "book.exercises": ("exercises",),
    "book.figures": ("figures",), "book.quiz": ("figures",), "book.record": ("record",), "book.setup": ("setup",),
    "serve.predict": ("predict",), "serve.service": ("service",), "files.atomic": ("store",), "files.cache": ("store",),
}  # fmt: skip
RENAMED = {
    "api-book-quiz-feedback": "api-figures-verdict", "api-book-quiz-class-feedback": "api-figures-class-verdict",
    "api-run-precision-bf16_pays": "api-host-has_bf16", "api-regularizers-set_dropout": "api-host-class-fastdropout",
}  # fmt: skip
SECTIONS = ("Args", "Returns", "Raises")
CODE = r'"[\w.]*"|\((?![^)]*\b(?:1[89]|20)\d\d)(?:\w+, ?)+\w*\)'
YEAR = r"\b(?:1[89]|20)\d\d[ab]?\b"
DESCRIPTION = "Every public name of the book's library: signature, shapes, errors, source, and an example that runs."


@dataclass(frozen=True)
class Doc:
    """A docstring in its parts.

    Args:
        summary: its first paragraph.
        body: the other paragraphs; one that starts with white space is a formula or code.
        sections: "Args", "Returns", "Raises" -> name -> what is said of it; "Returns" has the one name "".
    """

    summary: str
    body: list[str]
    sections: dict[str, dict[str, str]]

    @property
    def text(self) -> str:
        """Everything but the sections."""
        return "\n\n".join([self.summary, *self.body])


@dataclass(frozen=True)
class Entry:
    """A public function, class or method: its name, the node that defines it, its docstring, its public methods."""

    name: str
    node: ast.FunctionDef | ast.ClassDef
    doc: Doc
    methods: list[Entry] = field(default_factory=list)


def parse(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> Doc:
    """The docstring of a node in its parts; that of a module stands at the margin already."""
    docstring = ast.get_docstring(node, clean=not isinstance(node, ast.Module)) or ""
    head, *rest = re.split(rf"^({'|'.join(SECTIONS)}):\n", docstring, flags=re.M)
    summary, *body = re.split(r"\n\s*\n", head.rstrip())
    sections = {}
    for title, text in zip(rest[::2], rest[1::2], strict=True):
        lines = textwrap.dedent(text).strip()
        if title == "Returns":
            sections[title] = {"": " ".join(lines.split())}
        else:
            items = (item.partition(":") for item in re.split(r"\n(?=\S)", lines))
            sections[title] = {name: " ".join(said.split()) for names, _, said in items for name in names.split(", ")}
    if types := _types(node):
        sections["Types"] = types
    return Doc(" ".join(summary.split()), body, sections)


def _types(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> dict[str, str]:
    """The names that a module assigns and describes in the string below them: what they are, and what is said."""
    pairs = zip(node.body, node.body[1:], strict=False) if isinstance(node, ast.Module) else ()
    return {ast.unparse(name.targets[0]): f"`{ast.unparse(name.value)}`. {ast.literal_eval(said.value)}"
            for name, said in pairs
            if isinstance(name, ast.Assign) and isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant)}


def public(body: list[ast.stmt]) -> list[Entry]:
    """The functions and classes among `body` whose names do not start with an underscore."""
    return [Entry(node.name, node, parse(node),
                  public(node.body) if isinstance(node, ast.ClassDef) else [])
            for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")]


def library(folder: Path) -> dict[str, tuple[Doc, list[Entry]]]:
    """Module, such as "run.host" -> its docstring and its public names, in reading order.

    Raises:
        ValueError: a module stands in no group of the page.
    """
    paths = sorted(path.relative_to(folder) for path in folder.rglob("[!_]*.py"))
    trees = {".".join(path.with_suffix("").parts): ast.parse((folder / path).read_text("utf-8")) for path in paths}
    found = {name: (parse(tree), public(tree.body)) for name, tree in trees.items()}
    order = [name for names in groups(found).values() for name in names]
    if strange := [name for name, (_, entries) in found.items() if entries and name not in order]:
        raise ValueError(f"each module of lib must stand in a group of the page, {strange[0]} stands in none")
    return {name: found[name] for name in order}


def groups(modules: Iterable[str]) -> dict[str, list[str]]:
    """The modules under the headings of the page: those of the top floor as `TOP` has them, then room by room."""
    known = list(modules)
    top = {title: [name for name in names if name in known] for title, names in TOP.items()}
    rooms = {title: [name for name in known if name.startswith(f"{room}.")] for title, room in ROOMS.items()}
    return {title: names for title, names in (top | rooms).items() if names}


def examples(folder: Path) -> dict[str, dict[str, str]]:
    """Last part of a module's name -> name -> example: the cells of its file, each headed by `# %% name`."""
    return {path.stem: {name: code.strip() for name, code in
                        re.findall(r"^# %% (\w+)\n(.*?)(?=^# %% |\Z)", path.read_text("utf-8"), re.M | re.S)}
            for path in sorted(folder.glob("*.py"))}


# The page


def page(modules: Mapping[str, tuple[Doc, list[Entry]]], shown: Mapping[str, Mapping[str, str]], code: str) -> str:
    """The page in MyST Markdown.

    Args:
        modules: what `library` found.
        shown: what `examples` found.
        code: address of the repository's files, e.g. "https://github.com/OWNER/NAME/blob/main".
    """
    lines = ["# The library", "",
             "What the chapters import, name by name. Install it with `pip install .` in the book's folder; each "
             "example below runs as it stands, and the tests run it. An argument out of range raises an error that "
             "says its name, its value and what is allowed.", "", "::::{container} index"]
    for group, names in groups(modules).items():
        lines += ["", f"**{group}**", ""]
        lines += [f"[{name}](#{_anchor(name)})\n: {_links(name, modules[name][1])}\n" for name in names]
    lines += ["", "::::"]
    taken = {_anchor(name) for name in modules}
    for name, (doc, entries) in modules.items():
        old = [_anchor(was) for was in MOVED.get(name, ()) if _anchor(was) not in taken]
        taken.update(old)
        lines += ["", *_targets(_anchor(name), *old), f"## lib.{name}", "", _prose(doc.summary), ""]
        for paragraph in doc.body:
            lines += [*_paragraph(paragraph, formulas=False), ""]
        if types := doc.sections.get("Types"):
            lines += [":::{container} facts", *(f"`{each}`\n: {_prose(said)}\n" for each, said in types.items()), ":::"]
        for entry in entries:
            where = f"{code}/lib/{name.replace('.', '/')}.py#L{entry.node.lineno}"
            label = _label(name, entry)
            old = [RENAMED[label]] if label in RENAMED else [_label(was, entry) for was in MOVED.get(name, ())]
            lines += ["", *_targets(label, *old), f"### {entry.name}", "", *_entry(entry)]
            cells = shown.get(name.rpartition(".")[2], {})
            if entry.name in cells:
                lines += [":::{container} example", f"Example. [Code of {entry.name}]({where})", "",
                          "```python", cells[entry.name], "```", ":::", ""]
    return "\n".join(lines) + "\n"


def _targets(*labels: str) -> list[str]:
    """Places on the page that links may name."""
    return [f"({label})=" for label in labels]


def _anchor(module: str) -> str:
    """Where a module stands on the page."""
    return f"api-{module.replace('.', '-')}"


def _label(module: str, entry: Entry) -> str:
    """Where the entry stands; labels know no capitals, so `Split` and `split` would be one."""
    return f"{_anchor(module)}-{'class-' * isinstance(entry.node, ast.ClassDef)}{entry.name.lower()}"


def _links(module: str, entries: list[Entry]) -> str:
    return ", ".join(f"[{entry.name}](#{_label(module, entry)})" for entry in entries)


def _entry(entry: Entry) -> list[str]:
    """Signature, text and sections of a name, then the same of its methods."""
    lines = ["```python", signature(entry.node), "```", "", _prose(entry.doc.summary), ""]
    for paragraph in entry.doc.body:
        lines += [*_paragraph(paragraph), ""]
    before = {"Args": "", "Returns": "returns", "Raises": "raises "}
    facts = [f"{before[title]}{f'`{name}`' if name else ''}\n: {_prose(said)}\n"
             for title, items in entry.doc.sections.items() for name, said in items.items()]
    if facts:
        lines += [":::{container} facts", *facts, ":::", ""]
    for method in entry.methods:
        if method.doc.summary:
            lines += [f"**`.{method.name}`**", "", *_entry(method)]
    return lines


def signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    """How a name is called: one line where it fits a phone, else one line an argument."""
    if isinstance(node, ast.ClassDef):
        start = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        fields = [ast.unparse(each) for each in node.body if isinstance(each, ast.AnnAssign)]
        decorated = any("dataclass" in ast.unparse(each) for each in node.decorator_list)
        arguments = _arguments(start[0])[1:] if start else fields if decorated else []
        tail = ""
    else:
        if any(ast.unparse(each) == "property" for each in node.decorator_list):
            return f"{node.name}{f': {ast.unparse(node.returns)}' if node.returns else ''}"
        arguments = [each for each in _arguments(node) if each != "self"]
        tail = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = [each for each in arguments if not each.startswith("_")]
    line = f"{node.name}({', '.join(arguments)}){tail}"
    return line if len(line) <= 60 else f"{node.name}(\n    " + ",\n    ".join(arguments) + f",\n){tail}"


def _arguments(node: ast.FunctionDef) -> list[str]:
    """The arguments as they are written, with "*" where keywords begin."""
    given = node.args
    plain = [None] * (len(given.args) - len(given.defaults)) + list(given.defaults)
    pairs = list(zip(given.args, plain, strict=True))
    found = [_argument(each, default) for each, default in pairs]
    if given.vararg:
        found.append("*" + _argument(given.vararg, None))
    elif given.kwonlyargs:
        found.append("*")
    found += [_argument(each, default) for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return found + (["**" + _argument(given.kwarg, None)] if given.kwarg else [])


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    typed = ast.unparse(argument)
    return typed if default is None else f"{typed} = {ast.unparse(default)}"


def _paragraph(text: str, *, formulas: bool = True) -> list[str]:
    """Markdown of a paragraph: plain prose, lines set off in it, code, or a formula with its source."""
    if not text.startswith(" "):
        before, *rest = re.split(r"\n(?= )", text, maxsplit=1)
        if not rest:
            found = text.startswith("Source:")
            return [":::{container} source", _prose(text), ":::"] if found else [_prose(text)]
        block, *after = re.split(r"\n(?=\S)", rest[0], maxsplit=1)
        return [_prose(before), "", *_list(block), "", *map(_prose, after)]
    code = textwrap.dedent(text)
    if code.startswith("python ") or _is_call(code):
        return ["```text" if code.startswith("python ") else "```python", code, "```"]
    if not formulas:
        return _list(text)
    parts = [part.strip(" ,;") for part in re.split(r"\n| {3,}", code) if part.strip(" ,;")]
    return [part for each in parts for part in
            ([":::{container} source", _prose(each), ":::"] if re.search(YEAR, each) else ["$$", tex(each), "$$", ""])]


def _is_call(text: str) -> bool:
    """Whether a text is a call in Python, not a formula or prose."""
    try:
        return isinstance(ast.parse(text, mode="eval").body, ast.Call)
    except SyntaxError:
        return False


def _list(block: str) -> list[str]:
    """One item a line of the block; deeper lines belong to the item above, wide gaps divide a term from its words."""
    items = (re.fullmatch(r"(?:(\S+(?: \S+)?) {2,})?(.*)", item, re.S)
             for item in re.split(r"\n(?=\S)", textwrap.dedent(block)))
    return [f"- {f'**{_term(item[1])}** ' if item[1] else ''}{_prose(item[2])}" for item in items if item]


def _term(name: str) -> str:
    """What a legend explains: a symbol, or an argument, which is code."""
    return f"`{name}`" if "_" in name and "$" not in name else _prose(name)


def _prose(text: str) -> str:
    """Prose of a docstring as Markdown: code, formulas between dollars in TeX, and what else is there for itself.

    A word in quotation marks is code too, and so is the shape of an array: "labels", (batch, classes).
    """
    return "".join(part if part.startswith("`") else f"${tex(part[1:-1]).strip()}$" if part.startswith("$")
                   else f"`{part}`" if re.fullmatch(CODE, part) else re.sub(r"([*_$<>\[\]{}^~\\])", r"\\\1", part)
                   for part in re.split(rf"(`[^`]*`|\$[^$]*\$|{CODE})", " ".join(text.split()).replace("->", "→")))


GREEK = {"theta", "alpha", "beta", "delta", "eta", "rho", "sigma", "lambda", "Phi"}
NAMED = {"sum": r"\sum", "min": r"\min", "max": r"\max", "log": r"\log", "exp": r"\exp", "grad": r"\nabla ",
         "argmin": r"\operatorname*{argmin}", "sign": r"\operatorname{sign}", "KL": r"\mathrm{KL}", "inf": r"\infty "}
SIGNS = {"<=": r"\le ", ">=": r"\ge ", "->": r"\to ", "<-": r"\leftarrow ", "+-": r"\pm ", "*": r"\cdot ",
         "~": r"\sim ", "_*": "_*", "%": r"\%"}
TOKEN = re.compile(r"`[^`]*`|[A-Za-z]+(?:-[A-Za-z]+)+|[A-Za-z]+\d*_[A-Za-z0-9]+|[A-Za-z]+\d*|<=|>=|->|<-|\+-|_\*|.",
                   re.S)


def tex(formula: str) -> str:
    """A formula of a docstring in TeX: Greek names, operators and words are told apart, the rest is TeX already."""
    out, words = [""], ""
    formula = re.sub(r"\^\(([^()]*)\)", r"^{\1}", formula)
    formula = re.sub(r"\bsqrt\(([^()]*)\)", r"\\sqrt{\1}", formula)
    for token in [*TOKEN.findall(formula), ""]:
        if _is_word(token) and out[-1][-1:] != "\\" or words and token == " ":
            words += token.strip("`")
            continue
        if words:
            before = " " if len(out) > 1 and out[-1] == " " and re.search(r"[\w})|,:]\s*$", out[-2]) else ""
            words = words if token.isalnum() or token in tuple("|(\\") else words.rstrip()
            out.append(rf"\text{{{before}{words.replace('_', chr(92) + '_')}}}")
            words = ""
        out.append(SIGNS.get(token) or (_letter(token) if token[:1].isalpha() else token))
    return "".join(out)


def _is_word(token: str) -> bool:
    """Whether a token is a word of prose: of several letters, and no Greek letter, operator or name with an index."""
    name = re.split(r"_|\d", token.strip("`"))[0]
    return len(name) > 1 and name[0].isalpha() and name not in GREEK and name not in NAMED


def _letter(token: str) -> str:
    """A letter with its indices: "theta0_S" is theta with the indices 0 and S; a long index is a word."""
    name, *indices = filter(None, re.split(r"_|(?<=[a-zA-Z])(?=\d)", token))
    below = ",".join(map(_index, indices))
    return (NAMED.get(name) or (f"\\{name} " if name in GREEK else name)) + (f"_{{{below}}}" if below else "")


def _index(name: str) -> str:
    return NAMED.get(name) or (rf"\text{{{name}}}" if len(name) > 2 else name)


def write(root: Path, target: Path) -> None:
    """Write the page `api.md` into the folder `target`; nothing where `root` has no examples."""
    folder = root / "tests" / "lib" / "examples"
    if not folder.exists():
        return
    config = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]
    meta = yaml.safe_dump({"myst": {"html_meta": {"description lang=en": DESCRIPTION}}}, width=1000)
    text = page(library(root / "lib"), examples(folder), f"{config['url']}/blob/{config['branch']}")
    (target / "api.md").write_text(f"---\n{meta}---\n\n{text}", encoding="utf-8")
