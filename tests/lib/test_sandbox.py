"""The sandbox, attacked: each attack does its harm outside, so that a sandbox that does nothing is seen."""
from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest

from lib.tasks import sandbox
from lib.tasks.sandbox import in_webassembly, namespaces, require_sandbox, run_safely
from lib.tasks.webassembly import webassembly

ROOT = Path(__file__).resolve().parents[2]


def closed() -> str:
    """Why there are no namespaces here; "" where there are."""
    try:
        return "" if namespaces("pass", 10, 512).finished else "namespaces are closed to this user"
    except RuntimeError as error:
        return str(error)


CLOSED = closed()
needs = pytest.mark.skipif(bool(CLOSED), reason=CLOSED or "there are namespaces")


@pytest.fixture
def port() -> Iterator[int]:
    """Of a real listener on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def harm(program: str, seconds: float = 20) -> bool:
    """Whether a program runs to its end in a plain child of this process: the control."""
    return subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, timeout=seconds).returncode == 0


@needs
def test_a_program_runs_and_its_output_and_error_are_kept() -> None:
    assert run_safely("import math, json\nprint(math.sqrt(16))") == sandbox.Outcome(True, "4.0")
    failed = run_safely("print('so far')\nassert 1 == 2, 'no'")
    assert not failed.finished and failed.said.startswith("so far") and failed.said.endswith("AssertionError: no")
    assert not run_safely("raise SystemExit(0)").finished  # it ended, and not at its end
    assert not run_safely("import os\nos._exit(0)").finished


@needs
def test_an_endless_loop_and_an_endless_sleep_end() -> None:
    for program in ("while True: pass", "import time\ntime.sleep(1000)", "import signal\n"
                    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
                    "while True: pass"):
        begin = time.monotonic()
        assert run_safely(program, seconds=1) == sandbox.Outcome(False, "")  # and nothing of how the fence killed it
        assert time.monotonic() - begin < 30


@needs
def test_nothing_is_written_outside(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for place in (tmp_path / "mine", Path("/tmp") / f"mine-{os.getpid()}"):
        program = f"open({str(place)!r}, 'w').write('x')"
        assert not run_safely(program).finished and not place.exists()
        assert harm(program) and place.exists()
        place.unlink()
    for place in ("/usr/mine", "/lib/mine", f"{sys.base_prefix}/mine", "../program.py", "/mine"):
        assert not run_safely(f"open({place!r}, 'a')").finished
    assert run_safely("import os\nassert os.statvfs('/usr').f_flag & os.ST_RDONLY").finished  # for root too
    assert run_safely("open('mine', 'w').write('x')\nassert open('mine').read() == 'x'").finished  # its own folder


@needs
def test_the_home_folder_and_the_book_cannot_be_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    for place in (secret, Path.home(), ROOT / "pyproject.toml", Path("/etc/passwd")):
        verb = f"os.listdir({str(place)!r})" if place.is_dir() else f"open({str(place)!r}).read()"
        program = f"import os\n{verb}"
        assert harm(program), place
        found = run_safely(program)
        kept = place.is_dir() and Path(sys.base_prefix).is_relative_to(place)  # a Python in the home folder: its way
        if kept:
            inside = run_safely(f"import os\nprint(os.listdir({str(place)!r}))")
            assert inside.said == str([Path(sys.base_prefix).relative_to(place).parts[0]])
        else:
            assert not found.finished and "No such file" in found.said


@needs
def test_no_connection_is_made(port: int) -> None:
    program = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)"
    assert harm(program)
    found = run_safely(program)
    assert not found.finished and "Error" in found.said


@needs
def test_processes_memory_files_and_output_are_bounded() -> None:
    begin = time.monotonic()
    assert not run_safely("import os\nwhile True: os.fork()", seconds=1).finished
    assert not run_safely("x = bytearray(2**30)", megabytes=128).finished
    assert run_safely("x = bytearray(2**24)", megabytes=128).finished
    assert not run_safely("f = open('a', 'w')\nwhile True: f.write('x' * 10**6)").finished
    assert not run_safely("print('x' * 2**25)").finished
    assert not run_safely("kept = [open('/dev/null') for _ in range(100)]").finished
    assert time.monotonic() - begin < 120


@needs
def test_it_has_no_rights_and_gets_none_and_sees_no_other_process() -> None:
    assert run_safely("import os\nassert not os.path.exists('/proc')\nassert os.getpid() < 20").finished
    mount = "import ctypes\nlibc = ctypes.CDLL(None)\n"
    assert run_safely(mount + "assert libc.mount(b'none', b'/box', b'tmpfs', 0, None) == -1\n"
                      "assert libc.chroot(b'.') == -1\nassert libc.unshare(0x10000000) == -1").finished
    if os.geteuid() == 0:
        assert run_safely(f"import os\nassert os.getuid() == os.getgid() == {sandbox.NOBODY}").finished
    assert run_safely("import os\nassert not {k for k in os.environ if 'HOME' in k or 'KEY' in k}").finished


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="becomes another user, as root can")
@needs
def test_it_holds_for_a_user_without_rights_or_refuses(port: int, tmp_path: Path) -> None:
    """Another user runs the same file: without root, namespaces are the user's own, where the kernel allows it."""
    copy = tmp_path / "lib"
    shutil.copytree(ROOT / "lib", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from lib.tasks.sandbox import in_webassembly, namespaces, require_sandbox, run_safely
from lib.tasks.webassembly import webassembly
try:
    require_sandbox()
except RuntimeError as error:
    print("refused", error)
    assert not run_safely("pass").finished
else:
    assert run_safely("print(1)").finished
    for attack in ("while True: pass", "open('/tmp/mine-too', 'w')", "import os\\nwhile True: os.fork()",
                   "import socket\\nsocket.create_connection(('127.0.0.1', {port}), 2)", "open('/etc/passwd')"):
        assert not run_safely(attack, seconds=1).finished, attack
    print("held")
"""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("the system has no Python that another user can read")
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, "-B", "-c", program],
                          capture_output=True, text=True, cwd="/", env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("held", "refused"))


def without_webassembly() -> str:
    """Why WebAssembly does not run here; "" where it does."""
    try:
        return "" if run_safely("pass", fence=in_webassembly).finished else "Pyodide does not start"
    except RuntimeError as error:
        return str(error)


@pytest.fixture(scope="module")
def pyodide() -> None:
    """Skips where Node or Pyodide cannot be had."""
    if reason := without_webassembly():
        pytest.skip(reason)


ATTACKS = """
import os, socket, sys
import pyodide.webloop as w, pyodide._package_loader as p
JS = p.loadedPackages.constructor
def host(text): return w.scheduleCallback.constructor(text)()
attacks = {
    "fork": os.fork,
    "list the home folder": lambda: os.listdir("HOME"),
    "read": lambda: open("HOME/.profile").read() or open("/etc/passwd").read(),
    "read the book": lambda: open("ROOT/pyproject.toml").read(),
    "connect": lambda: socket.create_connection(("127.0.0.1", PORT), 2),
    "make code": lambda: host("return process"),
    "reach JavaScript": lambda: __import__("js"),
    "reach Pyodide": lambda: __import__("pyodide_js").mountNodeFS("/mnt", "HOME"),
    "much memory": lambda: bytearray(2**30),
}
for name, attack in attacks.items():
    try:
        attack()
    except BaseException as error:
        continue
    sys.exit(name)
os.makedirs("FOLDER")
open("FOLDER/marker", "w").write("x")  # on a disk of its own
"""


def test_webassembly_runs_a_program_and_no_attack_leaves_it(pyodide: None, port: int, tmp_path: Path) -> None:
    assert run_safely("import math, json, re, typing\nprint(math.sqrt(16))", fence=in_webassembly).said == "4.0"
    marker = tmp_path / "marker"
    words = {"HOME": Path.home(), "ROOT": ROOT, "PORT": port, "FOLDER": tmp_path}
    attacks = reduce(lambda text, word: text.replace(word, str(words[word])), words, ATTACKS)
    found = run_safely(attacks, fence=in_webassembly)
    assert found.finished, found.said
    started = run_safely(f"import os\nos.system('touch {marker}')", fence=in_webassembly)
    assert not started.finished and "restricted" in started.said
    assert not marker.exists()


def test_webassembly_ends_a_loop_and_a_flood(pyodide: None) -> None:
    for program in ("while True: pass", "while True: print('x' * 10**5)", "import os\nos._exit(0)"):
        begin = time.monotonic()
        assert not run_safely(program, seconds=1, fence=in_webassembly).finished
        assert time.monotonic() - begin < sandbox.SLOWEST_START + 30


def test_without_its_fence_of_files_and_processes_webassembly_is_left(
        pyodide: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: Pyodide alone starts a process of this machine."""
    def open_(program: Path, megabytes: int) -> list[str]:
        return [word for word in webassembly(program, megabytes) if not word.startswith(("--permission", "--allow"))]

    monkeypatch.setattr(sandbox, "webassembly", open_)
    run_safely(f"import os\nos.system('touch {tmp_path}/marker')", fence=in_webassembly)
    assert (tmp_path / "marker").exists()


def test_where_there_is_none_nothing_runs_and_one_sentence_says_why(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    def refused(*_: object) -> list[str]:
        raise RuntimeError("Node is missing")

    sandbox._working.cache_clear()
    monkeypatch.setattr(sandbox, "webassembly", refused)
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "unshare" else f"/bin/{tool}")
    with pytest.raises(RuntimeError, match="^generated code was not run, since there is no sandbox: Linux namespaces "
                                           "are closed, as this system lacks unshare; Node is missing$"):
        require_sandbox()
    assert not run_safely(f"open({str(marker)!r}, 'w')").finished and not marker.exists()
    monkeypatch.undo()
    monkeypatch.setattr(sandbox, "webassembly", refused)
    monkeypatch.setattr(sandbox, "_command", lambda *_: ["sh", "-c", "echo unshare: not permitted; exit 1"])
    sandbox._working.cache_clear()
    with pytest.raises(RuntimeError, match="namespaces did not run a program .unshare: not permitted.; Node"):
        require_sandbox()
    assert not run_safely(f"open({str(marker)!r}, 'w')").finished and not marker.exists()
    monkeypatch.undo()
    sandbox._working.cache_clear()


def test_numbers_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="seconds must be .*got 0"):
        run_safely("pass", seconds=0)
    with pytest.raises(ValueError, match="megabytes must be .*got 1"):
        run_safely("pass", megabytes=1)
