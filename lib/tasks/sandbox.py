"""Run code that a model wrote where it can do no harm: another root, another network, no rights, little of everything.

Linux namespaces, by `unshare` of util-linux: the child sees a root folder of its own, in memory, with Python and the
system's libraries to read and one empty folder to write; a network without an interface; and no process but its own.
It has no capability and cannot get any. A filter of system calls (seccomp) leaves it one process, whose threads share
what `megabytes` allows, and closes what holds memory outside of a process: shared memory, semaphores and queues of
System V, POSIX queues, files without a name, keys, and every call that came after Linux 5.0. `python -I` alone stops
nothing, and patching `socket` or `os` is no sandbox. Elsewhere the code runs in Python compiled to WebAssembly, see
`lib.tasks.webassembly`; where neither is to be had, not at all.

Whoever starts it as root gets a program of another user, nobody. Without root it stays the same user to the kernel,
called root in a namespace where that gives no right: what keeps your files and processes from it is that it sees none.

Whether a program came to its end is told by a word that it never sees. But it is judged in its own process: one that
digs in its memory, jumps over its own lines or returns an object equal to everything passes the tests beside it. The
sandbox guards the machine, not the score, against a program that means to cheat.
"""
from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lib import _check
from lib.tasks.webassembly import STARTED, webassembly

NOBODY = 65534
TOOLS = ("unshare", "setpriv", "prlimit", "mount", "chroot", "timeout")
SLOWEST_START = 60  # seconds that WebAssembly may take to begin
NODE = 256  # megabytes for Node and Pyodide themselves, which hold 165
LIMITS = f"--core=0 --fsize={2**23} --nofile=32"  # bytes a file, open files
THREADS = {True: 16, False: 256}  # by whether the user is nobody; older kernels count all that the user has
CALLS = {  # by processor: its name in the kernel, clone, and what is closed, in one order (fork and vfork on one alone)
    "x86_64": (0xC000003E, 56, (29, 64, 68, 240, 319, 278, 248, 249, 250, 206, 294, 300, 298, 321, 323, 57, 58, 253)),
    "aarch64": (0xC00000B7, 220, (194, 190, 186, 180, 279, 75, 217, 218, 219, 0, 26, 262, 241, 280, 282)),
}  # shmget semget msgget mq_open memfd_create vmsplice add_key request_key keyctl io_setup inotify_init1 fanotify_init
# perf_event_open bpf userfaultfd, and fork vfork inotify_init
NEW = 424  # the first call after Linux 5.0; from here on the numbers are those of all processors
_RUNNER = """
import ctypes, os, struct, sys, types
rules = ctypes.create_string_buffer(bytes.fromhex(os.environ["RULES"]))
if ctypes.CDLL(None).prctl(22, 2, struct.pack("HP", len(rules) // 8, ctypes.addressof(rules)), 0, 0):
    sys.exit("this kernel has no filter of system calls (seccomp)")
main = sys.modules["__main__"] = types.ModuleType("__main__")
main.__file__ = "/box/program.py"
with open(main.__file__, encoding="utf-8") as program:
    code = compile(program.read(), main.__file__, "exec")
# while the program runs, the word has no name: it lies on this interpreter's stack and in no frame, file or pipe
print(os.read(0, 32).decode() + (exec(code, vars(main)) or ""), flush=True)
"""
# $1: new root, $2: user, $3: seconds, $4: bytes, then the folders to read; Python and the program stand in $RUN
_SCRIPT = r"""
set -e
root=$1 user=$2 seconds=$3 memory=$4; shift 4
mount -t tmpfs -o size=64m,mode=755,nosuid,nodev none "$root"
for folder in "$@"; do
  mkdir -p "$root$folder"
  mount --bind "$folder" "$root$folder"
  mount -o remount,bind,ro,nosuid,nodev "$root$folder"
done
mkdir -p "$root/dev" "$root/box"
for device in null urandom; do : > "$root/dev/$device"; mount --bind /dev/$device "$root/dev/$device"; done
cp "$PROGRAM" "$root/box/program.py"
printf %s "$RUNNER" > "$root/box/runner.py"
mkdir "$root/box/empty"
mount -t tmpfs -o size=64m,nr_inodes=1k,mode=777,nosuid,nodev none "$root/box/empty"
mount -o remount,bind,ro,nosuid,nodev "$root"
exec chroot "$root" prlimit --cpu="$seconds" --as="$memory" $LIMITS \
  setpriv --reuid="$user" --regid="$user" $CLEAR --no-new-privs --bounding-set=-all --inh-caps=-all \
  sh -c 'cd /box/empty && printf %s "$STARTED" && exec "$PYTHON" -I -S -B ../runner.py'
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a program.

    Args:
        finished: it ran to its last line, without an error.
        said: the end of what it printed, errors included, at most 2,000 characters.
    """

    finished: bool
    said: str


Fence = Callable[[str, int, int], Outcome]
"""(code, seconds, megabytes) -> what became of it: `namespaces` or `in_webassembly`."""


def run_safely(code: str, *, seconds: int = 5, megabytes: int = 512, fence: Fence | None = None) -> Outcome:
    """Run Python code of unknown intent and say whether it came to its end.

    Where there is no sandbox, the program is not run and has not finished; `require_sandbox` says so beforehand.

    Args:
        code: a whole program for the standard library.
        seconds: of processor time in namespaces, and half as much again by the clock, at least 1.
        megabytes: of memory, at least 64. Its files may hold 64 besides, in namespaces; in WebAssembly they count, Node
            gets 256, and fifty looks a second at the sum end what holds more.
        fence: `namespaces` or `in_webassembly`; if not given, the first of these that works here.

    Raises:
        ValueError: a number out of range.
    """
    _check.whole(1, seconds=seconds)
    _check.whole(64, megabytes=megabytes)
    chosen = fence or _working()[0]
    return chosen(code, seconds, megabytes) if chosen else Outcome(False, "")


def require_sandbox() -> None:
    """Try whether code can be run safely here.

    Raises:
        RuntimeError: it cannot; the message says what is missing.
    """
    chosen, reasons = _working()
    if chosen is None:
        raise RuntimeError(f"generated code was not run, since there is no sandbox: {'; '.join(reasons)}")


def namespaces(code: str, seconds: int, megabytes: int) -> Outcome:
    """Run code in Linux namespaces of its own.

    Args:
        code, seconds, megabytes: as in `run_safely`.

    Raises:
        RuntimeError: this system has none.
    """
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if sys.platform != "linux" or platform.machine() not in CALLS or missing:
        raise RuntimeError(f"Linux namespaces are closed, as this system lacks {', '.join(missing) or 'them'}")
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as place:
        program, root, said = Path(place, "program.py"), Path(place, "root"), Path(place, "said")
        program.write_text(code, "utf-8")
        root.mkdir()
        with said.open("wb") as output:
            subprocess.run(_command(root, seconds, megabytes * 2**20), env=_environment(program), input=token.encode(),
                           stdout=output, stderr=subprocess.STDOUT)
        return _outcome(said, token)


def in_webassembly(code: str, seconds: int, megabytes: int) -> Outcome:
    """Run code in Python compiled to WebAssembly; the clock begins when the program does.

    Args:
        code, seconds, megabytes: as in `run_safely`.

    Raises:
        RuntimeError: Node or psutil is missing, or npm cannot fetch what is.
        OSError: the disk is full.
    """
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as place:
        program, said = Path(place, "program.py"), Path(place, "said")
        program.write_text(code, "utf-8")
        command = webassembly(program, megabytes)
        import psutil

        read, write = os.pipe()
        os.write(write, token.encode())
        os.close(write)
        with said.open("wb") as output:
            node = psutil.Popen(command, env={}, cwd=place, stdin=read, stdout=output, stderr=subprocess.STDOUT)
        os.close(read)
        last = time.monotonic() + SLOWEST_START
        while node.poll() is None and time.monotonic() < last and STARTED.encode() not in said.read_bytes()[:4000]:
            time.sleep(0.02)
        last = time.monotonic() + seconds * 1.5 + 2
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended between two looks
            while (node.poll() is None and time.monotonic() < last
                   and node.memory_info().rss < (megabytes + NODE) * 2**20):
                time.sleep(0.02)
            node.kill()
        node.wait()
        return _outcome(said, token)


def _outcome(said: Path, token: str) -> Outcome:
    with said.open("rb") as file:
        file.seek(max(0, said.stat().st_size - 4000))
        _, started, text = file.read().decode(errors="replace").rpartition(STARTED)
    text = re.sub(r"(\A|\n)unshare: .*\Z", "", text.rstrip()) if started else text.rstrip()  # how the child died
    return Outcome(text.endswith(token), text.removesuffix(token).rstrip()[-2000:])


@lru_cache
def _working() -> tuple[Fence | None, tuple[str, ...]]:
    """The first fence that lets a program come to its end, and why those before it do not."""
    reasons: list[str] = []
    for fence in (namespaces, in_webassembly):
        try:
            found = fence("pass", 10, 512)
        except (RuntimeError, OSError) as error:
            reasons.append(str(error))
            continue
        if found.finished:
            return fence, tuple(reasons)
        reasons.append(f"{fence.__name__} did not run a program ({' '.join(found.said.split())})")
    return None, tuple(reasons)


def _command(root: Path, seconds: int, memory: int) -> list[str]:
    """The program under a clock, in namespaces of its own, with what it may read."""
    alone = ["--net", "--pid", "--ipc", "--uts", "--mount", "--fork", "--kill-child=KILL"]
    user = NOBODY if os.geteuid() == 0 else 0  # nobody; elsewhere the root of a namespace, who has no right outside it
    if user == 0:
        alone += ["--user", "--map-root-user"]
    folders = [path for path in ("/usr", "/lib", "/lib64", "/bin", sys.base_prefix) if Path(path).is_dir()]
    return ["timeout", "--signal=KILL", str(seconds + seconds // 2 + 2), "unshare", *alone, "sh", "-c", _SCRIPT, "sh",
            str(root), str(user), str(seconds), str(memory), *dict.fromkeys(folders)]


def _environment(program: Path) -> dict[str, str]:
    """What the script and the program see of this process's environment: nothing of it but these."""
    nobody = os.geteuid() == 0
    python = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PROGRAM": str(program), "PYTHON": str(python), "STARTED": STARTED,
            "CLEAR": "--clear-groups" if nobody else "--keep-groups",
            "LIMITS": f"{LIMITS} --nproc={THREADS[nobody]}", "RUNNER": _RUNNER, "RULES": _rules().hex()}


def _rules() -> bytes:
    """The filter as the kernel reads it: steps of (what to do, jump if so, jump if not, number)."""
    machine, clone, closed = CALLS[platform.machine()]
    load, equal, least, has, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allowed, refused, unknown, killed = 0x7FFF0000, 0x50001, 0x50026, 0x80000000
    steps = [(load, 0, 0, 4), (equal, 1, 0, machine), (answer, 0, 0, killed), (load, 0, 0, 0)]
    for call in closed:
        steps += [(equal, 0, 1, call), (answer, 0, 0, refused)]
    steps += [(least, 0, 1, NEW), (answer, 0, 0, unknown), (equal, 1, 0, clone), (answer, 0, 0, allowed),
              (load, 0, 0, 16), (has, 1, 0, 0x10000), (answer, 0, 0, refused), (answer, 0, 0, allowed)]  # CLONE_THREAD
    return b"".join(struct.pack("HBBI", *step) for step in steps)
