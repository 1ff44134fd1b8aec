"""Transcripts that the disk does not take: every command says so, and they are written once it does."""

from __future__ import annotations

import json

RECORD = "records are not written"


def test_a_transcript_that_cannot_be_written_is_said_everywhere_and_written_later(aegis):
    with aegis.serving():
        aegis.run("spawn", "scripted", "--handle", "ada")
        aegis.run("send", "ada", "the first", "--wait")
        sessions = aegis.root / ".aegis" / "state" / "sessions"
        aegis.eventually(lambda: list(sessions.glob("*.jsonl")), "the transcript")
        [file] = sessions.glob("*.jsonl")
        file.rename(file.with_suffix(".before"))
        file.mkdir()
        assert "the second" in aegis.run("send", "ada", "the second", "--wait").stdout, "nobody waits for it"
        aegis.eventually(lambda: RECORD in aegis.run("sessions").stderr, "a warning beside an answer")
        assert RECORD in aegis.run("doctor", code=1).stdout
        file.rmdir()
        aegis.eventually(lambda: RECORD not in aegis.run("sessions").stderr, "the end of it")
        assert "the second" in json.dumps(file.read_text(encoding="utf-8")), "and nothing is lost"
        assert RECORD not in aegis.run("doctor").stdout
