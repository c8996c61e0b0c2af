"""Keep a bounded part of what a step writes to one stream."""

from __future__ import annotations


class Capture:
    """What a step wrote to one stream, capped in bytes: the head is kept, or the tail."""

    def __init__(self, *, cap: int, keep_tail: bool) -> None:
        self.dropped = 0
        self._kept = bytearray()
        self._cap = cap
        self._keep_tail = keep_tail

    def add(self, chunk: bytes) -> None:
        """Take more of the stream."""
        self._kept += chunk
        excess = len(self._kept) - self._cap
        if excess <= 0:
            return
        self.dropped += excess
        if self._keep_tail:
            del self._kept[:excess]
        else:
            del self._kept[self._cap :]

    @property
    def stray_byte(self) -> str:
        """Name the first byte that is no UTF-8, as ``byte 0xff at 41``; nothing when all is or a part was cut."""
        try:
            self._kept.decode("utf-8", "ignore" if self.dropped else "strict")
        except UnicodeDecodeError as error:
            return f"byte 0x{self._kept[error.start]:02x} at {error.start}"
        return ""

    def text(self) -> str:
        """Give what was kept as text, with a mark where something was cut; bytes that are no UTF-8 show as �."""
        text = self._kept.decode("utf-8", "replace")
        if not self.dropped:
            return text
        mark = f"[… {self.dropped} bytes cut …]"
        return f"{mark}\n{text}" if self._keep_tail else f"{text}\n{mark}"
