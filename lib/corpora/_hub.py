"""Data sets through the `datasets` library: a name on a hub, a folder saved on disk, or one of files."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def open_parts(path: str, config: str | None, split: str, columns: Sequence[str], caller: str) -> Mapping[str, Any]:
    """The parts of a set, by name, of which `split` exists and has the `columns`; the `caller` is named in errors."""
    try:
        import datasets
    except ImportError:
        raise ImportError(f'{caller} needs `datasets`: pip install "project-and-regularize[hub]"') from None
    datasets.disable_progress_bars()  # they write to stderr
    saved = any((Path(path) / name).exists() for name in ("state.json", "dataset_dict.json"))
    found: Any = datasets.load_from_disk(path) if saved else datasets.load_dataset(path, config)
    if isinstance(found, datasets.Dataset):
        found = {str(found.split or split): found}
    if split not in found:
        raise ValueError(f"split must be one of {', '.join(found)}, got {split!r}")
    for column in columns:
        if column not in found[split].column_names:
            raise ValueError(f"column {column!r} must be one of {', '.join(found[split].column_names)}")
    return found
