"""Transcripts of agents that are gone, many in one file, so that a queue's workers leave none of their own behind.

An agent's id begins with when it was made: those of about twelve days have the first letters in common, and are in
`sessions/ended/<letters>.jsonl`. Beside it, `<letters>.index` says where: id, first byte, last byte, and the number of
the newest event of anybody when it was put there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from aegis import Caller
from aegis_private.folder import Folder, open_own
from aegis_records.backwards import backwards, whole

_LETTERS, _MOST = 4, 2**20  # of an id; bytes of a transcript: a longer one keeps its own file
_FOLDER = "ended"


def program_of(by: Caller) -> str:
    """Return by which name the agents that this queue or workflow started are put together; empty for all others."""
    return f"{by.kind}_{by.name}" if by.class_ == "program" and by.kind != "system" else ""


class Part(NamedTuple):
    """Where in which file the transcript of an agent is."""

    agent_id: str
    path: Path
    begin: int
    end: int

    def lines(self) -> Iterator[bytes]:
        """Yield its lines from the end."""
        return backwards(self.path, begin=self.begin, end=self.end)


class Ended:
    """The transcripts below one folder, those of the living and of the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, agent_id: str) -> Path:
        """Return where the transcript is of an agent that lives."""
        return self._folder / f"{agent_id}.jsonl"

    def has(self, agent_id: str) -> bool:
        """Return whether there is a transcript of an agent with this id."""
        return self.path(agent_id).exists() or any(self.parts(agent_id))

    def ids(self) -> list[str]:
        """Return the agents that have a file of their own."""
        with suppress(FileNotFoundError):
            return [entry.name[:-6] for entry in os.scandir(self._folder) if entry.name.endswith(".jsonl")]
        return []

    def put_away(self, agents: Mapping[str, Mapping[str, str]], number: int) -> None:
        """Put the transcripts of these agents, which are gone, into the files of many, under a line about each."""
        with Folder.open(self._folder, OSError) as folder:
            for agent_id, about in agents.items():
                name, place = f"{agent_id}.jsonl", f"{_FOLDER}/{agent_id[:_LETTERS]}"
                try:
                    data = folder.read(name, _MOST + 1)
                except FileNotFoundError:
                    continue
                if len(data) > _MOST or self.path(agent_id).with_name(f"{name}.old").exists():
                    continue
                head = msgspec.json.encode({"v": 1, "agent_id": agent_id, **about}) + b"\n"
                end = _append(folder, f"{place}.jsonl", head + data.removesuffix(b"\n") + b"\n")
                begin = end - len(data.removesuffix(b"\n")) - 1
                _append(folder, f"{place}.index", b"%s %d %d %d\n" % (agent_id.encode(), begin, end, number))
                folder.remove(name)  # killed before this, it is in both, and its lines are still read once

    def lines(self, agent_id: str) -> Iterator[bytes]:
        """Yield the lines of an agent's transcript from the end, wherever they are."""
        return chain(whole(self.path(agent_id)), *(part.lines() for part in self.parts(agent_id)))

    def parts(self, agent_id: str) -> Iterator[Part]:
        """Yield where an agent's transcript was put, the newest part first."""
        index, at = b"", 0
        with suppress(FileNotFoundError), open_own(self._folder / _FOLDER / f"{agent_id[:_LETTERS]}.index") as file:
            index = file.read()
            at = len(index)
        while (at := index.rfind(agent_id.encode() + b" ", 0, at)) >= 0:
            if part := self._part(index[at : index.find(b"\n", at)], f"{agent_id[:_LETTERS]}.jsonl"):
                yield part[0]

    def since(self, number: int) -> Iterator[Part]:
        """Yield the parts that may have events after this number."""
        for index in sorted((self._folder / _FOLDER).glob("*.index"), reverse=True):
            for line in backwards(index):
                if part := self._part(line, f"{index.stem}.jsonl"):
                    if part[1] <= number:
                        break
                    yield part[0]

    def _part(self, line: bytes, name: str) -> tuple[Part, int] | None:
        try:
            agent_id, begin, end, number = line.split(b" ")
            return Part(agent_id.decode(), self._folder / _FOLDER / name, int(begin), int(end)), int(number)
        except ValueError:  # torn by a kill
            return None


def _append(folder: Folder, name: str, data: bytes) -> int:
    """Add whole lines to a file and return how long it is then."""
    descriptor = folder.open_file(name, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    with os.fdopen(descriptor, "ab") as file:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            file.write(b"\n")
        file.write(data)
        file.flush()
        return os.fstat(descriptor).st_size
