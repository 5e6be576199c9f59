"""A DNS server for one record, on loopback and over UDP."""

from __future__ import annotations

import socket
import threading
from typing import Self

import dns.flags
import dns.message
import dns.rrset


class NameServer:
    """Says that the address (A) of each name is `address`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.asked: list[str] = []
        """The names, in order."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        # One that waits does not hear of a close: it may go on with what gets the descriptor's number next.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while (got := self._socket.recvfrom(65_536))[0]:
            raw, peer = got
            self._socket.sendto(self._answer(raw), peer)

    def _answer(self, raw: bytes) -> bytes:
        query = dns.message.from_wire(raw)
        name = query.question[0].name
        self.asked.append(str(name))
        answer = dns.message.make_response(query)
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", self._address))
        return answer.to_wire()
