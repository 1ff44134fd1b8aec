"""Which byte of a text is no UTF-8: what is said of it is the same wherever it is found."""

from __future__ import annotations


def fault(error: UnicodeError) -> str:
    """Return which byte is no UTF-8, and where it stands (counted from 0)."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"
    if not isinstance(error, UnicodeEncodeError):
        return "not UTF-8"
    code, at = ord(error.object[error.start]), len(error.object[: error.start].encode(errors="surrogatepass"))
    what = f"byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"half a surrogate pair, U+{code:04X},"
    return f"not UTF-8: {what} at {at}"
