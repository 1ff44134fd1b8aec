"""Requests that need nothing of FastMCP but its answer: a plain `tools/call` or `tools/list`, in either protocol era.

What is recognised is what no rule of the protocol could refuse. Everything else, down to a header that comes twice, is
left to FastMCP, which knows the rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import msgspec
from mcp_types.methods import validate_client_request
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from msgspec import Raw
from pydantic import ValidationError

CALL, LIST, CANCELLED = "tools/call", "tools/list", "notifications/cancelled"
_ID = re.compile(rb'0|-?[1-9][0-9]{0,14}|"[ !#-\[\]-~]{0,200}"')  # that is the same however it is read and written
_RESERVED = "io.modelcontextprotocol/"  # the keys of `_meta` which the protocol reads
_VERSION, _TOKEN = _RESERVED + "protocolVersion", "progressToken"
_LEVELS = 150  # opened in a whole request; FastMCP has rules for what is deep
_WORDS = 4_000  # bytes in which a client says something about its request; FastMCP has rules for what is long
_MOST = 256  # different words about themselves that clients' requests may have, before they are looked at anew


class _CallParams(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] | None = None
    meta: dict[str, Raw] | None = msgspec.field(default=None, name="_meta")


class _ListParams(msgspec.Struct, forbid_unknown_fields=True):
    meta: dict[str, Raw] | None = msgspec.field(default=None, name="_meta")


class _CancelledParams(msgspec.Struct):
    request: Raw = msgspec.field(name="requestId")


class _Message(msgspec.Struct, tag_field="method", forbid_unknown_fields=True):
    jsonrpc: Literal["2.0"]


class Call(_Message, tag=CALL):
    """A request to call a tool."""

    id: Raw
    params: _CallParams


class ToolList(_Message, tag=LIST):
    """A request for the list of tools."""

    id: Raw
    params: _ListParams = msgspec.field(default_factory=_ListParams)


class Cancelled(_Message, tag=CANCELLED):
    """A client's word that it wants an answer no more."""

    params: _CancelledParams


_DECODER = msgspec.json.Decoder(Call | ToolList | Cancelled)


@dataclass(frozen=True, slots=True)
class Recognised:
    """A plain request; `session` is of a legacy client, `version` what a modern one says."""

    message: Call | ToolList | Cancelled
    id: bytes
    session: str
    version: str


class Recognition:
    """Tells plain requests from others."""

    def __init__(self) -> None:
        self._accepted: set[tuple[str, tuple[tuple[str, bytes], ...]]] = set()

    def recognise(self, method: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Recognised | None:
        """Return what the request is if it is plain."""
        found = dict(headers)
        if method != "POST" or len(found) != len(headers):
            return None
        version = found.get(b"mcp-protocol-version", b"").decode("latin-1")
        session = found.get(b"mcp-session-id", b"").decode("latin-1")
        modern = version in MODERN_PROTOCOL_VERSIONS
        if not (modern or (session and (not version or version in HANDSHAKE_PROTOCOL_VERSIONS))):
            return None
        if not _kinds(found.get(b"accept", b""), found.get(b"content-type", b"")):
            return None
        if body.count(b"[") + body.count(b"{") > _LEVELS:
            return None
        try:
            message = _DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if isinstance(message, Cancelled):
            return None if modern else Recognised(message, bytes(message.params.request), session, "")
        if not _ID.fullmatch(message.id) or not self._plain(message, found, version if modern else ""):
            return None
        return Recognised(message, bytes(message.id), "" if modern else session, version if modern else "")

    def _plain(self, message: Call | ToolList, headers: Mapping[bytes, bytes], modern: str) -> bool:
        meta = message.params.meta or {}
        said = b"".join([bytes(raw) for raw in meta.values()])  # of which only a part is looked at below
        if len(said) > _WORDS or not said.isascii():
            return False
        if _TOKEN in meta and not _ID.fullmatch(meta[_TOKEN]):
            return False
        if not modern:
            return not any(key.startswith(_RESERVED) for key in meta)
        method = CALL if isinstance(message, Call) else LIST
        if headers.get(b"mcp-method") != method.encode():
            return False
        if isinstance(message, Call):  # the header may also be in a code, which FastMCP reads
            name = message.params.name
            if not (name.isascii() and name.isidentifier() and headers.get(b"mcp-name") == name.encode()):
                return False
        return bytes(meta.get(_VERSION, b"")) == f'"{modern}"'.encode() and self._valid(method, modern, meta)

    def _valid(self, method: str, version: str, meta: dict[str, Raw]) -> bool:
        """Say whether a modern client's words about itself are what the protocol wants; asked once for each."""
        words = method, tuple(sorted((key, bytes(raw)) for key, raw in meta.items() if key.startswith(_RESERVED)))
        if words not in self._accepted:
            try:
                params = {"name": "x", "_meta": {key: msgspec.json.decode(raw) for key, raw in words[1]}}
                validate_client_request(method, version, params)
            except (ValidationError, ValueError, KeyError, RecursionError):
                return False
            if len(self._accepted) >= _MOST:
                self._accepted.clear()
            self._accepted.add(words)
        return True


@lru_cache(64)
def _kinds(accept: bytes, content: bytes) -> bool:
    """Say whether the client sends JSON and reads both JSON and events."""
    accepted = {part.partition(b";")[0].strip().lower() for part in accept.split(b",")}
    return content.partition(b";")[0].strip() == b"application/json" and accepted >= {
        b"application/json",
        b"text/event-stream",
    }
