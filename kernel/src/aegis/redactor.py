"""One redactor for bus, ledger and screens: what was handed out as a secret is cut out of whatever is said."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar, cast

import msgspec

from aegis.errors import AegisError
from aegis.events import Event, decode, encode
from aegis_redactor import redactor

E = TypeVar("E", bound=Event)


class Redactor(redactor.Redactor):
    """Puts `<secret:NAME>` in the place of every value it knows, in events and errors, too."""

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events without the values; those that hold none as they are."""
        return [self.event(event) for event in events] if self.values else events

    def event(self, event: E) -> E:
        """Return the event without the values."""
        with suppress(UnicodeEncodeError):  # half a character: looked at word by word
            if not self.shown(encode(event)):
                return event
        return cast("E", decode(self.data(msgspec.to_builtins(event))))

    def error(self, error: AegisError | None) -> AegisError | None:
        """Return the error, if any, without the values in its sentence."""
        if error is None:
            return None
        cut = self.text(str(error))
        return error if cut == str(error) else type(error)(cut, **self.data(error.data))
