"""The short way of a call: from the request to the verb and back, with the bytes that FastMCP would have answered.

FastMCP's way of a request goes through validation by three models, a task and four queues, which costs ten times what a
verb does. So a plain `tools/call` (`recognition.py`) is begun here. One that is over soon is answered here; one that
takes longer is handed to FastMCP, which waits for it, reports progress, hears of cancellations, and answers. A
list of tools is FastMCP's own answer, remembered until verbs change. `tests/test_direct.py` compares both ways, byte
for byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from pydantic import TypeAdapter

from aegis import AegisError
from aegis_mcp import calls, sdk
from aegis_mcp.auth import REQUEST, TOGETHER, Application, Message, Receive, Scope, Send
from aegis_mcp.recognition import Call, Recognised, Recognition, ToolList
from aegis_mcp.tools import Outcome

if TYPE_CHECKING:
    from aegis_mcp.calls import AgentRequest
    from aegis_mcp.server import PlaneServer
    from aegis_mcp.sessions import Sessions

_SHORT = 0.25  # seconds after which a call is FastMCP's to wait for
_JSON = TypeAdapter(dict[str, Any])
_CANCELLED = b'"error":{"code":-32800,"message":"Request cancelled"}'
_EVENTS = [
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"content-type", b"text/event-stream"),
]
_UNBUFFERED = (b"x-accel-buffering", b"no")
_Asgi = tuple[Scope, Receive, Send]


class _Answer(msgspec.Struct):
    jsonrpc: str
    id: msgspec.Raw
    result: msgspec.Raw


class Direct:
    """An ASGI application that answers what is plain and short, and leaves the rest to the one inside."""

    def __init__(
        self, inside: Application, server: PlaneServer, sessions: Sessions, live: Callable[[str, str], str]
    ) -> None:
        self.inside, self._server, self._sessions, self._live = inside, server, sessions, live
        self._recognition = Recognition()
        self._short: dict[tuple[str, str, bytes], calls.Call] = {}
        self._lists: dict[tuple[Any, ...], bytes] = {}
        info = json.dumps(sdk.lowlevel(server).server_info_stamp, separators=(",", ":"))
        self._stamp = f',"_meta":{{"io.modelcontextprotocol/serverInfo":{info}}}'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request: AgentRequest = scope[REQUEST]
        plain = self._recognition.recognise(scope["method"], scope["headers"], request.body)
        if plain and not plain.version:
            plain = self._in_session(request.agent_id, plain)
        if plain:
            if isinstance(plain.message, Call):
                return await self._call(plain, plain.message, request, (scope, receive, send))
            if isinstance(plain.message, ToolList):
                return await self._list(plain, request, (scope, receive, send))
            self._cancel(request.agent_id, plain.session, plain.id)
        await self.inside(scope, receive, send)

    def _in_session(self, agent_id: str, plain: Recognised) -> Recognised | None:
        """Return the request in the session that serves its client, if there is one, and it is the agent's."""
        session = self._live(agent_id, plain.session)
        connection = self._sessions.connection(agent_id, session)
        if not (connection and connection.initialize_accepted):
            return None
        return plain if session == plain.session else replace(plain, session=session)

    # -- calls --------------------------------------------------------------------------------------------------

    async def _call(self, plain: Recognised, message: Call, request: AgentRequest, inside: _Asgi) -> None:
        try:
            call = self._server.begin(request, message.params.name, message.params.arguments or {})
        except AegisError as error:
            return await self._say(plain, self._result(plain, Outcome.of_error(error)), inside[2])
        key = request.agent_id, plain.session, plain.id.strip(b'"')
        if plain.session:
            self._short[key] = call
        try:
            with trio.CancelScope(deadline=call.began + _SHORT) as call.wait:
                await call.over.wait()
            if self._short.get(key) is call:
                del self._short[key]
            if call.unwanted:
                return await self._say(plain, _CANCELLED, inside[2])
            if call.over.is_set():
                await self._server.settle(call)
                if answer := self._answered(plain, call):
                    return await self._say(plain, answer, inside[2])
            request.begun = call
            await self.inside(*inside)
        finally:
            if self._short.get(key) is call:
                del self._short[key]
            call.abandon()

    def _cancel(self, agent_id: str, session: str, named: bytes) -> None:
        """End the call that the client wants no more, if it is one of ours; FastMCP knows of no such."""
        if call := self._short.pop((agent_id, session, named.strip(b'"')), None):
            call.unwanted = True
            if call.wait:
                call.wait.cancel()

    def _answered(self, plain: Recognised, call: calls.Call) -> bytes | None:
        """Return what is said of a call that is over; None when JSON cannot say it, which FastMCP refuses."""
        try:
            outcome = Outcome.of(call.result())
        except AegisError as error:
            outcome = Outcome.of_error(error)
        except Exception:  # noqa: BLE001 - a value may fail in any way as it is put into words
            return None
        try:
            return self._result(plain, outcome)
        except (ValueError, TypeError, RecursionError):
            return None

    def _result(self, plain: Recognised, outcome: Outcome) -> bytes:
        result: dict[str, Any] = {"content": [{"text": outcome.text, "type": "text"}], "isError": outcome.is_error}
        if plain.version:
            result["resultType"] = "complete"
        if outcome.structured is not None:
            result["structuredContent"] = outcome.structured
        said = _JSON.dump_json(result)
        if plain.version:
            said = (json.dumps(result, separators=(",", ":"), allow_nan=False)[:-1] + self._stamp + "}").encode()
        return b'"result":' + said

    # -- lists --------------------------------------------------------------------------------------------------

    async def _list(self, plain: Recognised, request: AgentRequest, inside: _Asgi) -> None:
        scope, receive, send = inside
        connection = self._sessions.connection(request.agent_id, plain.session)
        key = self._server.list_key(request), plain.version or (connection and connection.protocol_version)
        if key in self._lists:
            return await self._say(plain, self._lists[key], send)
        said = bytearray()

        async def overheard(message: Message) -> None:
            said.extend(message.get("body", b""))
            await send(message)

        await self.inside(scope, receive, overheard)
        if key[0] == self._server.list_key(request):
            self._remember(key, bytes(said))

    def _remember(self, key: tuple[Any, ...], said: bytes) -> None:
        """Keep FastMCP's answer; those from before verbs changed are forgotten."""
        events = said if said.startswith(b"{") else b"".join(said.partition(b"data: ")[2:]).partition(b"\r\n")[0]
        try:
            result = msgspec.json.decode(events, type=_Answer).result
        except msgspec.DecodeError:
            return
        if any(known[0][0] != key[0][0] for known in self._lists):
            self._lists.clear()
        self._lists[key] = b'"result":' + bytes(result)

    # -- what HTTP carries ----------------------------------------------------------------------------------------

    @staticmethod
    async def _say(plain: Recognised, answer: bytes, send: Send) -> None:
        said = b'{"jsonrpc":"2.0","id":' + plain.id + b"," + answer + b"}"
        if plain.version:
            headers = [(b"content-length", str(len(said)).encode()), (b"content-type", b"application/json")]
        else:
            said = b"event: message\r\ndata: " + said + b"\r\n\r\n"
            headers = [*_EVENTS, (b"mcp-session-id", plain.session.encode("latin-1")), _UNBUFFERED]
        await send({"type": "http.response.start", "status": 200, "headers": headers, TOGETHER: True})
        await send({"type": "http.response.body", "body": said})
