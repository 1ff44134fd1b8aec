"""`aegis-term NAME`: attach this terminal to a shared one; Ctrl-] detaches it, and the shell goes on."""

from __future__ import annotations

import argparse
import json
import os
import selectors
import signal
import socket
import sys
import termios
import tty
from collections.abc import Sequence
from pathlib import Path

from aegis.errors import AegisError
from aegis.project import Project
from aegis_private.peers import peer
from aegis_terminal.attach_protocol import HEAD, KEYS, RESIZE, WINDOW
from aegis_terminal.socket_path import SOCKET, socket_folder

DETACH = b"\x1d"  # Ctrl-]


def main(argv: Sequence[str] | None = None) -> int:
    """Stay attached until the person detaches or the shell ends, and return the exit code."""
    parser = argparse.ArgumentParser(prog="aegis-term", description="Attach to a shared terminal. Ctrl-] detaches.")
    parser.add_argument("name", help="name of the terminal (`aegis term list`)")
    parser.add_argument("-C", "--project", default=".", help="the project's folder")
    parser.add_argument("--socket", type=Path, help="the socket, as `aegis term attach` prints it")
    asked = parser.parse_args(argv)
    try:
        path = asked.socket or socket_folder(Project.find(Path(asked.project))) / SOCKET
    except (OSError, AegisError) as error:
        return _failed(f"cannot connect to a terminal of {asked.project} ({error}); is aegis running there?")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _failed("this needs a terminal; `aegis term tail` and `aegis term screen` do not")
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with line:
        try:
            line.connect(str(path))
        except OSError as error:
            return _failed(f"cannot connect to {path} ({error.strerror}); is aegis running there?")
        if not (other := peer(line)).is_trusted:
            return _failed(f"what listens at {path} belongs to another user (user {other.uid}); nothing was said to it")
        line.sendall(json.dumps({"terminal": asked.name}).encode() + b"\n")
        try:
            answer = json.loads(_line(line) or b'{"error": "aegis closed the connection"}')
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            return _failed("what answers there is no aegis")
        if "error" in answer:
            return _failed(str(answer["error"]))
        return _raw(line, asked.name)


def _failed(text: str) -> int:
    sys.stderr.write(f"aegis-term: {text}\n")
    return 1


def _line(line: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        if not (byte := line.recv(1)):
            return b""
        data += byte
    return data


def _raw(line: socket.socket, name: str) -> int:
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    before = termios.tcgetattr(keyboard)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGWINCH, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    last = f"detached from {name}; its shell goes on"
    try:
        tty.setraw(keyboard, termios.TCSADRAIN)  # keys that were typed already go to the shared terminal, too
        _size(line)
        if not _carry(line, keyboard, screen, woken):
            last = f"{name} has ended"
    except ConnectionError:  # aegis was killed
        last = f"{name} has ended"
    finally:
        signal.set_wakeup_fd(-1)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        os.close(woken)
        os.close(wake)
        os.write(screen, b"\x1b[?1049l\x1b[?1000l\x1b[?2004l\x1b[?25h\x1b[0m\r\n[%s]\r\n" % last.encode())
    return 0


def _carry(line: socket.socket, keyboard: int, screen: int, woken: int) -> bool:
    """Carry keys and output until the person detaches (True) or the shared terminal ends (False)."""
    with selectors.DefaultSelector() as selector:
        for source in (line.fileno(), keyboard, woken):
            selector.register(source, selectors.EVENT_READ)
        while True:
            for ready, _ in selector.select():
                if ready.fd == woken:
                    os.read(woken, 64)
                    _size(line)
                elif ready.fd == keyboard:
                    keys, detach, _ = os.read(keyboard, 4096).partition(DETACH)
                    if keys:
                        line.sendall(HEAD.pack(KEYS, len(keys)) + keys)
                    if detach or not keys:
                        return True
                else:
                    if not (data := line.recv(65_536)):
                        return False
                    _put(screen, data)


def _put(screen: int, data: bytes) -> None:
    while data:
        data = data[os.write(screen, data) :]


def _size(line: socket.socket) -> None:
    columns, rows = os.get_terminal_size(sys.stdout.fileno())  # $COLUMNS is older
    window = WINDOW.pack(rows, columns)
    line.sendall(HEAD.pack(RESIZE, len(window)) + window)


if __name__ == "__main__":
    sys.exit(main())
