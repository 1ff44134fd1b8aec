"""What Gemini CLI says of a tool in words is read exactly, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aegis_acp import v1
from aegis_gemini.driver import GeminiDriver
from aegis_gemini.words import given

HERE = Path("/srv/shop")


def command(beside: str, title: str = "npm test") -> Any:
    return given("execute", title, beside, HERE)


@pytest.mark.parametrize(
    "beside",
    [
        "[current working directory /srv/shop]",
        "[current working directory /srv/shop] (Run the tests)",
        "[current working directory /srv/shop] [background]",
        "[current working directory /srv/shop] (Run [all] (really) tests) [background]",
    ],
)
def test_a_command_in_the_agents_folder(beside: str) -> None:
    assert command(beside) == {"command": "npm test"}


def test_a_command_elsewhere_names_its_folder() -> None:
    assert command("[in api]") == command("[in api] (Run the tests)") == {"command": "npm test", "dir_path": "api"}


@pytest.mark.parametrize(
    "beside",
    [
        "",
        "Run the tests",
        "[current working directory /srv/shops]",
        "[current working directory /srv/shop]]",
        "[current working directory /srv/shop] and more",
        "[current working directory /srv/shop] (one)\n(two)",
        "[current working directory /srv]",
        "[in ]",
        "[in a] (b] (c)",  # the folder `a] (b`, or the folder `a` with a reason
        "[in a] [background]",  # or the folder `a] [background`
        "[in a]]",
        "[in a] b",
        " [in a]",
    ],
)
def test_what_may_mean_something_else_is_not_read(beside: str) -> None:
    assert command(beside) is None


def test_a_command_is_not_empty() -> None:
    assert command("[current working directory /srv/shop]", "") is None


def test_a_folder_by_another_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("real")
    for spelled in (link, tmp_path.resolve() / "real"):
        assert given("execute", "ls", f"[current working directory {spelled}]", link) == {"command": "ls"}


def test_what_a_servers_tool_is_given() -> None:
    assert given("other", "rm -rf /", '{"command": "rm -rf /", "to": [1]}', HERE) == {"command": "rm -rf /", "to": [1]}
    for unclear in ("", "[1]", "7", '{"a": 1', "[Payload omitted due to length with parameters: a]", "[" * 100_000):
        assert given("other", "x", unclear, HERE) is None
    assert given("edit", "x", '{"a": 1}', HERE) is None


def test_the_result_is_not_taken_for_it() -> None:
    def said(status: Any) -> v1.ToolCallUpdate:
        text: Any = {"type": "content", "content": {"type": "text", "text": f"[current working directory {HERE}]"}}
        told = {"sessionUpdate": "tool_call_update", "toolCallId": "c", "title": "ls", "kind": "execute"}
        update = v1.update(told | {"status": status, "content": [text]})
        assert isinstance(update, v1.ToolCallUpdate)
        return update

    driver = GeminiDriver()
    assert driver.given(said("pending"), HERE) == driver.given(said("in_progress"), HERE) == {"command": "ls"}
    assert driver.given(said("completed"), HERE) is None
