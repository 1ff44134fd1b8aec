"""A front end on the public interface alone: numbered events over HTTP, for readers that come and go.

`GET /` begins with a snapshot, or after `Last-Event-ID`, and tells every event; `POST /VERB?x=y` calls a verb.
"""

import json
from email import message_from_string
from urllib.parse import parse_qsl, unquote, urlsplit

import trio

from aegis import AegisError, Caller, hookimpl
from aegis.events import encode

HEAD = b"HTTP/1.1 %d -\r\nContent-Type: %s\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"


class Sse:
    """The service; all it does it does through its client."""

    name = "sse"

    def __init__(self, kernel):
        self.path = kernel.project.state / "sse.sock"  # only this user may enter the folder
        self.client = kernel.client(Caller("web", "reader", class_="person"))

    async def run(self, started):
        with trio.socket.socket(trio.socket.AF_UNIX) as socket:
            self.path.unlink(missing_ok=True)
            await socket.bind(str(self.path))
            socket.listen()
            started.set()
            await trio.serve_listeners(self.serve, [trio.SocketListener(socket)])

    async def serve(self, stream):
        try:
            async with stream:
                method, url, headers = await heard(stream)
                if method == "GET":
                    return await self.tell(stream, headers["last-event-id"])
                try:
                    status, value = 200, await self.client.call(unquote(url.path[1:]), dict(parse_qsl(url.query)))
                except AegisError as error:
                    status, value = 400, {"error": str(error)}
                await stream.send_all(HEAD % (status, b"application/json") + json.dumps(value).encode())
        except* (trio.BrokenResourceError, ValueError):
            pass  # it has gone, or spoke something else than HTTP

    async def tell(self, stream, since):
        await stream.send_all(HEAD % (200, b"text/event-stream"))
        if since is None:
            since = (snapshot := await self.client.snapshot())["number"]
            await stream.send_all(b"event: snapshot\nid: %d\ndata: %s\n\n" % (since, json.dumps(snapshot).encode()))
        async with trio.open_nursery() as nursery, self.client.watch(int(since)) as news:
            nursery.start_soon(gone, stream, nursery.cancel_scope)
            async for agent_id, events, last in (batch async for batches in news for batch in batches):
                for number, event in enumerate(events, last - len(events) + 1):
                    row = (number, agent_id.encode(), encode(event))
                    await stream.send_all(b'id: %d\ndata: {"agent_id":"%s","event":%s}\n\n' % row)


async def heard(stream):
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some(65_536 - len(head)) or b"\r\n\r\n"
    method, target, rest = head.decode("latin-1").split(" ", 2)
    return method, urlsplit(target), message_from_string(rest.partition("\r\n")[2])


async def gone(stream, scope):
    while await stream.receive_some():
        pass  # a reader has nothing more to say
    scope.cancel()


@hookimpl
def aegis_frontends(kernel):
    return [Sse(kernel)]
