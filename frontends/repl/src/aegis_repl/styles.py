"""One style for each thing that is shown, in colours every terminal has."""

from __future__ import annotations

STYLES = {
    "dim": "ansibrightblack",
    "thought": "ansibrightblack italic",
    "you": "bold ansicyan",
    "mail": "bold ansimagenta",
    "body": "ansimagenta",
    "tool": "ansiblue",
    "plan": "bold",
    "added": "ansigreen",
    "removed": "ansired",
    "ask": "bold ansiyellow",
    "info": "ansibrightblack",
    "warning": "ansiyellow",
    "error": "ansired",
    "end": "ansibrightblack",
    "title": "bold",
    "divider": "ansibrightblack",
    "bottom-toolbar": "noreverse",
    "tab": "",
    "tab.active": "bold reverse",
    "mark": "bold ansiyellow",
    "dot.idle": "ansigreen",
    "dot.working": "ansiyellow",
    "dot.starting": "ansiyellow",
    "dot.failed": "ansired",
    "dot.stopped": "ansibrightblack",
    "dot.asleep": "ansibrightblack",
    "dot.closed": "ansibrightblack",
    "prompt.handle": "bold",
}
