"""The messages of an attached terminal over the socket: keys, and its size."""

from __future__ import annotations

import struct

KEYS, RESIZE = b"k", b"s"
HEAD = struct.Struct("!cI")  # which of them, how many bytes follow
WINDOW = struct.Struct("!HH")  # rows, columns
