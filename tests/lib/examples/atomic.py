"""Examples of `lib.files.atomic`; see `tests/lib/test_examples.py`."""

# %% write_atomically
from pathlib import Path

from lib.files.atomic import write_atomically

write_atomically(Path("note.txt"), lambda file: file.write(b"whole"))
assert [p.name for p in Path().iterdir()] == ["note.txt"]

# %% whole_folder
from pathlib import Path

from lib.files.atomic import whole_folder

with whole_folder(Path("notes")) as scratch:
    (scratch / "note.txt").write_text("whole")
    assert not Path("notes").exists()  # until it is complete
assert Path("notes/note.txt").read_text() == "whole"
