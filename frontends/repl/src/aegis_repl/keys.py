"""The keys, and what each asks of the trio side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

if TYPE_CHECKING:
    from aegis_repl.screen import Screen

HELP = (
    ("Enter", "send the line to this tab's agent"),
    ("Alt+Enter", "begin another line of the same message"),
    ("Alt+1 … 9, Ctrl+← →", "switch tabs"),
    ("Ctrl+T, Ctrl+N", "new agent: of the default profile, of one you pick"),
    ("Ctrl+W", "close this agent (asks; after the last one aegis quits)"),
    ("Esc", "dismiss the menu or question, else stop the agent's turn"),
    ("Ctrl+C", "clear the line; on an empty one, twice quits"),
    ("Ctrl+Q, Ctrl+D", "quit"),
)


async def _complete(buffer: Buffer) -> None:
    """Move on in an open menu; else put in what all completions have in common, be they still on their way."""
    if buffer.complete_state and buffer.complete_state.completions:
        buffer.complete_next()
        return
    document = buffer.document
    asked = CompleteEvent(completion_requested=True)
    found = [one async for one in buffer.completer.get_completions_async(document, asked)]
    if buffer.document != document:
        return
    if len(found) == 1:
        buffer.apply_completion(found[0])
        if not buffer.document.text_after_cursor:
            buffer.insert_text(" ")
    elif common := get_common_complete_suffix(document, found):
        buffer.insert_text(common)
    else:
        buffer.start_completion()


class Action(NamedTuple):
    """Something the person did; `line` carries the text, `go` and `step` a number, `values` a completer's question.

    `drawn` says that the first prompt is there; `begun` is the trio side's own: from then on it does what is asked.
    """

    what: Literal[
        "line", "go", "step", "new", "close", "interrupt", "yes", "no", "hint", "quit", "values", "drawn", "begun"
    ]
    value: Any = None


def bindings(screen: Screen, act: Callable[[Action], None]) -> KeyBindings:
    """Return the key bindings of the prompt."""
    keys = KeyBindings()
    confirming = Condition(lambda: bool(screen.view.confirm))
    empty = Condition(lambda: not get_app().current_buffer.text)

    for number in range(1, 10):

        @keys.add("escape", str(number))
        def _(event: KeyPressEvent, number: int = number) -> None:
            act(Action("go", number))

    @keys.add("c-left", eager=True)
    def _(event: KeyPressEvent) -> None:
        act(Action("step", -1))

    @keys.add("c-right", eager=True)
    def _(event: KeyPressEvent) -> None:
        act(Action("step", 1))

    @keys.add("c-t", eager=True)
    def _(event: KeyPressEvent) -> None:
        act(Action("new"))

    @keys.add("c-n", eager=True)
    def _(event: KeyPressEvent) -> None:
        screen.stash()
        event.current_buffer.text = "/spawn "
        event.current_buffer.cursor_position = len("/spawn ")
        event.current_buffer.start_completion(select_first=False)

    @keys.add("c-w", eager=True)
    def _(event: KeyPressEvent) -> None:
        act(Action("close"))

    @keys.add("c-q", eager=True)
    def _(event: KeyPressEvent) -> None:
        act(Action("quit"))

    @keys.add("c-d", filter=empty, eager=True)
    def _(event: KeyPressEvent) -> None:
        act(Action("quit"))

    @keys.add("c-c", eager=True)
    def _(event: KeyPressEvent) -> None:
        screen.clear_or_quit()  # now: what is typed next must find the line clear

    @keys.add("tab")
    async def _(event: KeyPressEvent) -> None:
        await _complete(event.current_buffer)

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("escape", filter=has_completions)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.cancel_completion()

    @keys.add("escape", filter=~has_completions)
    def _(event: KeyPressEvent) -> None:
        act(Action("no" if screen.view.confirm else "interrupt"))

    @keys.add("y", filter=confirming, eager=True)
    def _(event: KeyPressEvent) -> None:
        act(Action("yes"))

    @keys.add(Keys.Any, filter=confirming)
    def _(event: KeyPressEvent) -> None:
        act(Action("no"))  # any other key is no answer to take for a yes, and no letter of a message either

    return keys
