"""A live figure in a real kernel: the reader moves its slider, and the kernel draws anew."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

CELL = """
import matplotlib.pyplot as plt
from lib.book.figures import explore
def draw(rank, strength):
    print(f"drawn {rank} {strength}")
    return plt.figure()
explore(draw, live=%s, alt="Rank {0}, strength {1}.", rank=[1, 2], strength=[0.5, 4.0])
"""


@pytest.fixture
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def messages(client: BlockingKernelClient, asked: str) -> list[dict[str, Any]]:
    """What the kernel sends until it has done what was asked."""
    found = []
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") == asked:
            found.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return found


def shown(found: list[dict[str, Any]]) -> str:
    return "".join(str(message["content"]) for message in found if message["msg_type"] in ("stream", "display_data"))


def test_moving_a_live_slider_draws_anew(kernel: BlockingKernelClient) -> None:
    first = messages(kernel, kernel.execute(CELL % True))
    assert "drawn 1 0.5" in shown(first) and "drawn 2" not in shown(first), "nothing is drawn beforehand"
    sliders = {message["content"]["data"]["state"]["description"]: message["content"]["comm_id"] for message in first
               if message["msg_type"] == "comm_open"
               and message["content"]["data"]["state"]["_model_name"] == "SelectionSliderModel"}
    assert set(sliders) == {"rank", "strength"}
    for name, words in (("rank", "drawn 2 0.5"), ("strength", "drawn 2 4.0")):
        data = {"method": "update", "state": {"index": 1}, "buffer_paths": []}
        moved = kernel.session.msg("comm_msg", {"comm_id": sliders[name], "data": data})
        kernel.shell_channel.send(moved)
        after = shown(messages(kernel, moved["header"]["msg_id"]))
        assert words in after and "par-svg" in after
    assert 'Rank 2, strength 4.0.' in after


def test_without_the_wish_all_is_drawn_beforehand(kernel: BlockingKernelClient) -> None:
    found = messages(kernel, kernel.execute(CELL % False))
    assert shown(found).count("drawn ") == 4
    assert not [message for message in found if message["msg_type"] == "comm_open"]
