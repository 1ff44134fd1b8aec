"""A model that follows a script: `POST /v1/messages` as Anthropic's, streamed, for CLIs that must not reach a network.

It also answers as OpenAI's chat completions and responses and as Gemini's generateContent (`openai_chat`,
`openai_responses`, `gemini_content`); what the CLIs ask beside their conversations, for a title perhaps, is answered
with a word and not logged.

Run as `python model_server.py [SCRIPT.json]`: it prints its port on one line and serves until its stdin closes.
A script is a list of rules; the first one that fits what the model last heard, and is not used up, answers:

    {"when": "regular expression", "on": "user" | "tool_result", "times": 1,     all optional
     "say": "text" | [blocks],                                                  blocks as the Messages API has them
     "stop": "end_turn", "usage": {...}, "pause": seconds before every block,
     "error": 529, "message": "overloaded",                                     instead of an answer
     "hang": true}                                                              after `say`, never end

In what it says `{system}` is the system prompt, `{user}` the whole of what the user said last, `{turn}` the number of
this turn in the conversation, `{before}` what the user said before, `{reply}` what the last tool answered.

Without a rule that fits the model says "ok". `POST /script` replaces the script and forgets the log, `GET /requests`
gives the bodies of all model requests so far, `GET /bill` what each answer took: the model, the usage, whether it was
an answer `aside` and whether it was told to its `end`. Usage is in Anthropic's words, where cached input is not part
of `input_tokens` and thoughts are part of `output_tokens`; the other dialects say it in theirs.
"""

from __future__ import annotations

import itertools
import json
import re
import select
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import gemini_content
import openai_chat
import openai_responses

Rule = dict[str, Any]
Block = dict[str, Any]

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def tool_use(name: str, /, **input: Any) -> Block:
    """Return the block by which the model calls a tool."""
    return {"type": "tool_use", "name": name, "input": input}


def text(words: str) -> Block:
    """Return the block by which the model says something."""
    return {"type": "text", "text": words}


def thinking(words: str) -> Block:
    """Return the block by which the model thinks."""
    return {"type": "thinking", "thinking": words, "signature": "c2NyaXB0ZWQ="}


def heard(body: dict[str, Any]) -> tuple[str, str]:
    """Return who spoke last, `user` or `tool_result`, and the words; what the CLI itself puts in is passed over."""
    spoken = [said for said in map(_said, body.get("messages", [])) if said]
    return spoken[-1] if spoken else ("user", "")


def _said(message: dict[str, Any]) -> tuple[str, str] | None:
    content = message["content"]
    blocks = [text(content)] if isinstance(content, str) else content
    spoken = [(block["type"], _words(block)) for block in blocks if message["role"] == "user"]
    spoken = [(kind, words) for kind, words in spoken if words or kind == "tool_result"]
    if spoken and spoken[-1][0] == "tool_result":
        results = itertools.takewhile(lambda said: said[0] == "tool_result", reversed(spoken))
        return "tool_result", "\n".join(reversed([words for _, words in results]))
    return ("user", spoken[-1][1]) if spoken else None


def known(body: dict[str, Any]) -> dict[str, str]:
    """Return what the model may weave into its words."""
    said = [spoken for message in body.get("messages", []) if (spoken := _said(message))]
    prompts, results = ([words for kind, words in said if kind == who] for who in ("user", "tool_result"))
    return {
        "{system}": _words({"content": body.get("system", "")}),
        "{user}": _words(([{}] + [m for m in body.get("messages", []) if m["role"] == "user"])[-1]),
        "{turn}": str(len(prompts)),
        "{before}": ["", "", *prompts][-2],
        "{reply}": ["", *results][-1],
    }


def _words(block: Block) -> str:
    content = block.get("text", block.get("content")) or ""
    words = content if isinstance(content, str) else "\n".join(map(_words, content))
    return _REMINDER.sub("", words).strip()


class Script:
    """The rules and how often each has answered; may be used from several threads."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._lock = Lock()
        self.replace(rules)

    def replace(self, rules: Sequence[Rule]) -> None:
        """Answer by these rules from now on; the log is empty."""
        with self._lock:
            self._rules = list(rules)
            self._left = [rule.get("times", sys.maxsize) for rule in rules]
            self.log: list[dict[str, Any]] = []
            self.bill: list[dict[str, Any]] = []

    def charge(self, body: dict[str, Any], usage: dict[str, int], *, aside: bool = False, end: bool = True) -> None:
        """Put an answer on the bill; one that nobody waited for to its end is not told what it took."""
        with self._lock:
            self.bill.append({"model": body.get("model", ""), "usage": usage, "aside": aside, "end": end})

    def answer(self, body: dict[str, Any]) -> Rule:
        """Return the rule that answers this request, and log the request."""
        who, words = heard(body)
        with self._lock:
            self.log.append(body)
            for number, rule in enumerate(self._rules):
                if self._left[number] and rule.get("on", who) == who and re.search(rule.get("when", ""), words):
                    self._left[number] -= 1
                    return rule
        return {"say": "ok"}


class Handler(BaseHTTPRequestHandler):
    """One request of a CLI, or of the test that holds the script."""

    server: ModelServer

    def do_GET(self) -> None:
        logs = {"/requests": self.server.script.log, "/bill": self.server.script.bill}
        self._reply(200, logs.get(self.path, {}))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"null")
        if self.path == "/script":
            self.server.script.replace(body)
            return self._reply(200, {})
        for dialect in (openai_chat, openai_responses, gemini_content):
            if dialect.fits(self.path):
                return self._answer_in(dialect, dialect.understood(body, self.path))
        if not self.path.startswith("/v1/messages") or "count_tokens" in self.path:
            return self._reply(404, _error(404, f"there is no {self.path} here"))
        rule = self.server.script.answer(body)
        if status := rule.get("error"):
            return self._reply(status, _error(status, rule.get("message", "as the script wants")))
        self._stream(rule, body)

    def _stream(self, rule: Rule, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            self.server.script.charge(body, spoken(rule, body)[1], end=not rule.get("hang"))
            for event in stream(rule, body, f"msg_{next(self.server.numbers):06d}"):
                time.sleep(rule.get("pause", 0) if event["type"] == "content_block_start" else 0)
                if rule.get("hang") and event["type"] == "message_delta":
                    break
                self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            else:
                return
            self._hang()
        except ConnectionError:
            pass  # the CLI hung up, as it does when its turn is interrupted

    def _answer_in(self, dialect: Any, body: dict[str, Any]) -> None:
        aside = body.pop("aside")
        rule = {"say": "a word"} if aside else self.server.script.answer(body)
        if status := rule.get("error"):
            return self._reply(status, dialect.error(status, rule.get("message", "as the script wants")))
        blocks, usage, stop = spoken(rule, body)
        told = {name: figure for name, figure in usage.items() if not name.startswith("cache_creation")}
        self.server.script.charge(body, told, aside=aside, end=not rule.get("hang"))
        if not body.get("streamed", True):
            return self._reply(200, dialect.whole(blocks, usage, body["model"], f"msg_{next(self.server.numbers):06d}"))
        *told, end = dialect.pieces(blocks, usage, stop, body["model"], f"msg_{next(self.server.numbers):06d}")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            for piece in told:
                time.sleep(rule.get("pause", 0))
                self.wfile.write(piece)
            if rule.get("hang"):
                return self._hang()
            self.wfile.write(end)
        except ConnectionError:
            pass  # the CLI hung up

    def _hang(self) -> None:
        while not self.server.stopping.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.2)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return

    def _reply(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the log is `GET /requests`."""


def _error(status: int, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": _ERRORS.get(status, "api_error"), "message": message}}


def _blocks(say: str | list[Block]) -> list[Block]:
    return [text(say)] if isinstance(say, str) else say


def _woven(block: Block, values: dict[str, str]) -> Block:
    if block["type"] != "text":
        return block
    for name, value in values.items():
        block = text(block["text"].replace(name, value))
    return block


def spoken(rule: Rule, body: dict[str, Any]) -> tuple[list[Block], dict[str, int], str]:
    """Return the blocks, the usage and the reason to stop of the answer to this request."""
    blocks = [_woven(block, known(body)) for block in _blocks(rule.get("say", []))]
    called = any(block["type"] == "tool_use" for block in blocks)
    usage = {"input_tokens": 100, "output_tokens": 10} | rule.get("usage", {})
    return blocks, usage, rule.get("stop", "tool_use" if called else "end_turn")


def stream(rule: Rule, body: dict[str, Any], message_id: str) -> Iterator[dict[str, Any]]:
    """Yield the events of one streamed answer."""
    blocks, usage, stop = spoken(rule, body)
    start = {"id": message_id, "type": "message", "role": "assistant", "model": body.get("model", ""), "content": []}
    yield {"type": "message_start", "message": start | {"stop_reason": None, "usage": usage | {"output_tokens": 1}}}
    for index, block in enumerate(blocks):
        yield from _block(index, block, f"toolu_{message_id}_{index}")
    yield {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage}
    yield {"type": "message_stop"}


def _block(index: int, block: Block, tool_id: str) -> Iterator[dict[str, Any]]:
    if block["type"] == "tool_use":
        opened = {"type": "tool_use", "id": tool_id, "name": block["name"], "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    elif block["type"] == "thinking":
        opened = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    else:
        opened = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": block["text"]}]
    yield {"type": "content_block_start", "index": index, "content_block": opened}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


class ModelServer(ThreadingHTTPServer):
    """The scripted model on a free port of the loopback."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = Script(rules)
        self.stopping = Event()
        self.numbers = itertools.count(1)


class Model:
    """A test's hold on a model server that runs as its own process."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def follow(self, *rules: Rule) -> None:
        """Answer by these rules from now on; the log is empty."""
        self._call("/script", json.dumps(rules).encode())

    def requests(self) -> list[dict[str, Any]]:
        """Return the bodies of all model requests since the script was set."""
        log: list[dict[str, Any]] = self._call("/requests")
        return log

    def bill(self) -> list[dict[str, Any]]:
        """Return what each answer took since the script was set."""
        bill: list[dict[str, Any]] = self._call("/bill")
        return bill

    def _call(self, path: str, data: bytes | None = None) -> Any:
        with urllib.request.urlopen(self.url + path, data=data, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def running(*rules: Rule) -> Iterator[Model]:
    """Run the server as its own process; leaving ends it."""
    argv = [sys.executable, "-E", "-s", __file__]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        model = Model(int(process.stdout.readline()))
        model.follow(*rules)
        yield model
        process.stdin.close()


def main() -> None:
    """Serve until stdin closes."""
    rules = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else []
    server = ModelServer(rules)
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.stopping.set()
    server.shutdown()


if __name__ == "__main__":
    main()
