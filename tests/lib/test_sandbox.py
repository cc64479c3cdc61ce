"""The sandbox, attacked: each attack does its harm outside, so that a sandbox that does nothing is seen."""
from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import struct
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


CALL = """
import ctypes, os, platform
C = ctypes.CDLL(None, use_errno=True)
C.shmat.restype = ctypes.c_void_p
def call(x86, arm, *words):
    said = C.syscall(x86 if platform.machine() == "x86_64" else arm, *words)
    if said < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return said
"""
BESIDE = {  # memory that no limit of a process counts, and processes that multiply it; each keeps 160 MB of 128, or one
    "shared memory of System V": CALL + """
for _ in range(5):
    place = C.shmat(call(29, 194, 0, 2**25, 0o1600), None, 0)
    ctypes.memset(place, 1, 2**25)
    C.shmdt(ctypes.c_void_p(place))""",
    "semaphores of System V": CALL + "for _ in range(80): call(64, 190, 0, 32000, 0o1600)",
    "a queue of System V": CALL + "call(68, 186, 0, 0o1600)",
    "a queue of POSIX": CALL + "call(240, 180, b'a', os.O_CREAT | os.O_RDWR, 0o600, None)",
    "files without a name": "import os\nfor _ in range(20): os.write(os.memfd_create('a'), bytes(2**23))",
    "a page in a pipe": CALL + """
page, pipe = ctypes.create_string_buffer(4096), os.pipe()
call(278, 75, pipe[1], (ctypes.c_size_t * 2)(ctypes.addressof(page), 4096), 1, 0)""",
    "the starter's keys": CALL + "call(250, 219, 0, -3, 0)",  # KEYCTL_GET_KEYRING_ID of the session: reads alone
    "watches of files": CALL + "call(294, 26, 0)",
    "a call of a newer kernel": CALL + "call(434, 434, os.getpid(), 0)",
    "children": """
import os, time
for _ in range(3):
    if os.fork() == 0:
        kept = bytearray(55 * 2**20)
        time.sleep(1)
        os._exit(0)
assert not any(os.wait()[1] for _ in range(3))""",
    "a program": "import subprocess\nsubprocess.run(['true'], check=True)",
}
REFUSED = ("Operation not permitted", "Function not implemented")
# Prints whatever looks like the word that a program's end is told by: of files, environment, input, frames and objects
SPY = """
import gc, os, re, sys
seen = [repr(os.environ), repr(sys.argv), sys.stdin.read()]
for place in range(3, 32):
    try:
        seen.append(os.read(place, 1000).decode(errors="replace"))
    except OSError:
        pass
for folder, _, names in [*os.walk(".."), *os.walk("/dev/shm")]:
    for name in names:
        seen.append(open(os.path.join(folder, name), errors="replace").read())
frame, left = sys._getframe(), gc.get_objects()
while frame:
    left += [frame, frame.f_locals, frame.f_globals, frame.f_code.co_consts]
    frame = frame.f_back
known = set()
while left:
    one = left.pop()
    if isinstance(one, (str, bytes)):
        seen.append(one if isinstance(one, str) else one.decode(errors="replace"))
    elif id(one) not in known and one is not seen and one is not left and one is not known:
        known.add(id(one))
        left += gc.get_referents(one)
found = {word for text in seen for word in re.findall("(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", text)}
print(len(known) > 1000, *found)
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize("name", BESIDE)
@needs
def test_it_has_one_process_and_no_memory_beside_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = namespaces(BESIDE[name], 5, 128)
    assert not found.finished and any(words in found.said for words in REFUSED), found
    monkeypatch.setattr(sandbox, "_rules", lambda: struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))  # all is allowed
    assert namespaces(BESIDE[name], 5, 128).finished  # the control


@needs
def test_its_filter_names_the_calls_that_it_means() -> None:
    """The kernel's own headers are the oracle."""
    words = Path(sandbox.__file__).read_text().partition("# shmget")[2].partition("\nNEW")[0]
    names = re.findall(r"\w+", f"shmget{words.replace(', and', '')}")
    for machine, header in (("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")):
        path = Path("/usr/include", header)
        if path.is_file():
            numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", path.read_text()))
            _, clone, closed = sandbox.CALLS[machine]
            assert [str(number) for number in closed] == [numbers[name] for name in names if name in numbers]
            assert (str(clone), str(sandbox.NEW)) == (numbers["clone"], numbers["pidfd_send_signal"])


@needs
def test_threads_and_its_own_files_are_left_to_it_within_limits() -> None:
    assert run_safely("import threading\nt = threading.Thread(target=print, args=('x',))\nt.start()\nt.join()"
                      ) == sandbox.Outcome(True, "x")
    assert "No space left" in run_safely("for i in range(5000): open(str(i), 'w')", seconds=10).said
    assert "No space left" in run_safely("for i in range(12): open(str(i), 'wb').write(bytes(2**23))").said
    assert "Read-only" in run_safely("open('/box/mine', 'w')").said


def spied(fence: sandbox.Fence, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a program that looks everywhere sees the word that its end is told by."""
    word = "0123456789abcdef" * 2
    monkeypatch.setattr(secrets, "token_hex", lambda _: word)
    found = run_safely(SPY, seconds=8, megabytes=512, fence=fence)
    assert "True" in found.said, found  # it looked at many objects
    return found.finished or word in found.said


@needs
def test_a_program_cannot_say_that_it_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not spied(namespaces, monkeypatch)
    held = sandbox._RUNNER.replace("print(os.read(0, 32).decode() + ", "word = os.read(0, 32).decode()\nprint(word + ")
    monkeypatch.setattr(sandbox, "_RUNNER", held)
    assert spied(namespaces, monkeypatch)  # the control: a word with a name is seen


@needs
def test_a_program_runs_and_its_output_and_error_are_kept() -> None:
    assert run_safely("import math, json\nprint(math.sqrt(16))") == sandbox.Outcome(True, "4.0")
    failed = run_safely("print('so far')\nassert 1 == 2, 'no'")
    assert not failed.finished and failed.said.startswith("so far") and failed.said.endswith("AssertionError: no")
    assert not run_safely("raise SystemExit(0)").finished  # it ended, and not at its end
    assert not run_safely("import os\nos._exit(0)").finished


def test_what_the_fence_says_of_a_death_is_not_the_programs(tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.write_text(f"{sandbox.STARTED}42\nunshare: waitpid failed: No child processes\n", "utf-8")
    assert sandbox._outcome(said, "token") == sandbox.Outcome(False, "42")
    said.write_text("unshare: unshare failed: Operation not permitted\n", "utf-8")  # it never began: this is the reason
    assert sandbox._outcome(said, "token").said == "unshare: unshare failed: Operation not permitted"


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
    """Another user runs the same attacks: without root, namespaces are the user's own, where the kernel allows it."""
    copy, home, marker = tmp_path / "lib", tmp_path / "home", tmp_path / "home" / "mine"
    shutil.copytree(ROOT / "lib", copy, ignore=shutil.ignore_patterns("__pycache__"))
    home.mkdir()
    (home / "key").write_text("secret")
    for folder in (home, home / "key"):
        os.chown(folder, sandbox.NOBODY, sandbox.NOBODY)
        folder.chmod(0o700)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("the system has no Python that another user can read")

    def other(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["setpriv", f"--reuid={sandbox.NOBODY}", f"--regid={sandbox.NOBODY}", "--clear-groups",
                               *words], capture_output=True, text=True, cwd="/",
                              env={"PATH": os.environ["PATH"], "HOME": str(home)})

    attacks = {
        "read": (f"print(open('{home}/key').read())", "No such file"),
        "list": (f"import os\nprint(os.listdir({str(home)!r}))", "No such file"),
        "write": (f"open({str(marker)!r}, 'w')", "No such file"),
        "connect": (f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)", "Error"),
    }
    for program, _ in attacks.values():
        assert other(python, "-I", "-c", program).returncode == 0  # the control: its own rights allow it
    marker.unlink()
    attacks |= {name: (program, "not") for name, program in BESIDE.items()} | {
        "loop": ("while True: pass", ""), "the program": ("open('../program.py', 'a')", "Read-only"),
        "the root": ("open('/mine', 'w')", "Read-only"), "the word": (SPY, "True"),
        "many files": ("for i in range(5000): open(str(i), 'w')", "No space left")}
    program = f"""
import json, secrets, sys
sys.path.insert(0, {str(tmp_path)!r})
from lib.tasks.sandbox import namespaces
secrets.token_hex = lambda _: "0123456789abcdef" * 2
print(namespaces("print(1)", 3, 128).finished)
found = {{name: namespaces(program, 3, 128) for name, (program, _) in {attacks!r}.items()}}
print(json.dumps({{name: (one.finished, one.said) for name, one in found.items()}}))
"""
    done = other(python, "-B", "-c", program)
    if other("unshare", "--user", "--map-root-user", "--mount", "true").returncode:  # the kernel closes them, not we
        assert done.stdout.startswith("False"), done
        pytest.skip("the kernel gives no namespaces to a user without rights; nothing was run")
    assert done.returncode == 0 and done.stdout.startswith("True"), done
    for name, (finished, said) in json.loads(done.stdout.partition("\n")[2]).items():
        assert not finished and attacks[name][1] in said and "secret" not in said, (name, said)
        assert "0123456789abcdef" * 2 not in said, name
    assert not marker.exists()


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


def test_webassembly_has_no_memory_beside_its_own(pyodide: None, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
import time
from pyodide.ffi import to_js
kept = []
for i in range(25):
    open(str(i), 'wb').write(bytes(2**23))
    kept.append(to_js(bytes(2**23)))
time.sleep(2)"""
    assert run_safely(program, megabytes=128, seconds=20, fence=in_webassembly) == sandbox.Outcome(False, "")
    monkeypatch.setattr(sandbox, "NODE", 2**20)
    assert run_safely(program, megabytes=128, seconds=20, fence=in_webassembly).finished  # the control


def test_a_program_in_webassembly_cannot_say_that_it_finished(pyodide: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not spied(in_webassembly, monkeypatch)


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
