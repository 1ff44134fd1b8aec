"""One line as a JSON-RPC message, or why it is none; and messages as lines that every reader can decode."""

from __future__ import annotations

import json
import re
from collections.abc import Set
from typing import Any

import msgspec

from aegis_jsonrpc.utf8 import fault

PARSE, INVALID, INTERNAL = -32700, -32600, -32603
_IDS = re.compile(rb'"id"\s*:\s*"?(\d{1,18})\b')


class Unreadable(Exception):
    """A line is no message: `number` is the id of a request that is to be told so, `asks` whether it was meant as one.

    `answers` are the ids of our own requests that the line may have been the answer to, None for "any of them".
    """

    def __init__(
        self, code: int, why: str, number: Any = None, *, asks: bool = False, answers: Set[int] | None = frozenset()
    ) -> None:
        super().__init__(why)
        self.code, self.number, self.asks, self.answers = code, number, asks, answers


def encoded(message: dict[str, Any]) -> bytes:
    """Return the line of a message; raises `ValueError` with what in it no JSON can carry."""
    try:
        return msgspec.json.encode({"jsonrpc": "2.0", **message}) + b"\n"
    except UnicodeEncodeError as error:
        raise ValueError(fault(error)) from None
    except (TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"this cannot be said in JSON: {error}") from None


def encoded_answer(number: Any, answer: dict[str, Any]) -> bytes:
    """Return the line of an answer: with substitutes for what no JSON can carry, or as an error, but always a line."""
    try:
        return encoded({"id": number, **answer})
    except ValueError as error:
        whole = {"jsonrpc": "2.0", "id": number}
        try:
            line = json.dumps(whole | answer, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            line = json.dumps(whole | {"error": {"code": INTERNAL, "message": f"the answer is lost: {error}"}})
        return line.encode(errors="replace") + b"\n"


def decoded(line: bytes) -> dict[str, Any]:
    """Return the request, notification or answer that the line is; raises `Unreadable`.

    In an answer bytes that are no UTF-8 become substitutes; a request is done as it is meant or not at all.
    """
    try:
        message = msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:
        message = _salvaged(line, error)
    if not isinstance(message, dict):
        asks = isinstance(message, list) and any(isinstance(one, dict) and "method" in one for one in message)
        what = "batches are not served: send each request in a line of its own" if asks else "a message is an object"
        raise Unreadable(INVALID, what, asks=asks)
    number = message.get("id")
    known = number if isinstance(number, int | float | str) and not isinstance(number, bool) else None
    if "method" in message:
        if not isinstance(message["method"], str):
            raise Unreadable(INVALID, "`method` must be a string", known, asks=True)
        if known is None and number is not None:
            raise Unreadable(INVALID, "`id` must be a number or a string", asks=True)
    elif not {"result", "error"} & message.keys():
        if known is None:
            raise Unreadable(INVALID, "a message has a `method`, or an `id` and a `result` or an `error`")
        what = "neither `method` nor `result` nor `error` is there"
        raise Unreadable(INVALID, what, known, asks=True, answers={own_number(known) or 0})
    return message


def own_number(number: Any) -> int | None:
    """Return which of our requests an answer's id means: peers write 3 as `"3"` or `3.0`, too."""
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 19:
        return int(number)
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _salvaged(line: bytes, error: Exception) -> Any:
    try:
        line.decode()
        what = f"not JSON: {str(error) or 'nested too deep'}"
    except UnicodeDecodeError as wrong:
        what = fault(wrong)
    try:
        # Halves of surrogate pairs are valid escapes to Python's reader; nobody else takes them.
        words = json.dumps(json.loads(line.decode(errors="replace")), ensure_ascii=False).encode(errors="replace")
        message = msgspec.json.decode(words)
    except (ValueError, RecursionError):
        asks, answer = b'"method"' in line, b'"id"' in line and (b'"result"' in line or b'"error"' in line)
        answers = {int(number) for number in _IDS.findall(line)} or None if answer and not asks else set()
        raise Unreadable(PARSE, what, asks=asks and b'"id"' in line, answers=answers) from None
    if isinstance(message, dict) and "method" in message:
        what = "half a surrogate pair is no character" if what.startswith("not JSON") else what
        number = message.get("id")
        known = isinstance(number, int | float | str) and not isinstance(number, bool)
        raise Unreadable(PARSE, what, number if known else None, asks="id" in message)
    return message
