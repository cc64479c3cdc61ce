"""One notebook, run by papermill in a process of its own; the exit status says whether a second try makes sense."""
from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import papermill
import psutil
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

CELL_FAILED = 1
GONE = 75  # the kernel died, never came up, or a cell ran out of time: EX_TEMPFAIL of sysexits.h


def follow(parent: int) -> None:
    """End with the command that started this process, even where it was killed: nobody else would end the kernel."""
    while os.getppid() == parent:
        time.sleep(0.5)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            process.kill()
    os._exit(GONE)


def main(source: str, target: str, parameters: str, cell_limit: str) -> int:
    """Run `source` with `parameters` (JSON) into `target`, where no cell may take more than `cell_limit` seconds."""
    threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        papermill.execute_notebook(source, target, json.loads(parameters), kernel_name="python3", progress_bar=False,
                                   log_output=True, execution_timeout=int(cell_limit), start_timeout=120,
                                   cwd=Path(source).parent)
    except PapermillExecutionError:
        return CELL_FAILED
    except CellTimeoutError:
        print(f"a cell took longer than {cell_limit} s", flush=True)
        return GONE
    except (DeadKernelError, RuntimeError) as error:  # jupyter_client raises a plain RuntimeError at start-up
        print(f"the kernel died ({error})", flush=True)
        return GONE
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
