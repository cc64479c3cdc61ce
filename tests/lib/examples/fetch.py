"""Examples of `lib.files.fetch`; see `tests/lib/test_examples.py`."""

# %% fetch
import hashlib

from lib.files.fetch import fetch

sha256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
archive = fetch("vaderSentiment-3.3.2.tar.gz", sha256, remedy="python my_data.py")
assert hashlib.sha256(archive).hexdigest() == sha256

# %% member
import io
import zipfile

from lib.files.fetch import member

wheel = io.BytesIO()
with zipfile.ZipFile(wheel, "w") as archive:
    archive.writestr("data/words.txt", "good bad")
assert member(wheel.getvalue(), "data/words.txt") == b"good bad"
