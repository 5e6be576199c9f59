"""Messages to bytes and back (PROTOCOL sections 1.1 and 1.2).

A message is `version(1) type(1) body`; integers are big-endian, a string is `length(1) UTF-8`. `pack` and
`parse` are two tables, class to packer and type byte to parser. Data is parsed before them, for its bound; TCP
Data without compression or sequence has a fast path before that, as it is nearly all that a tunnel carries.

What others send: bytes after the parts that we know are ignored, an unknown type becomes `Unknown`, and what
is malformed raises MessageError and nothing else. What we send: a value that does not fit its field is a bug
of ours and raises ValueError; only texts for humans are cut to what fits.

The version byte is the caller's: VERSION until the peer has spoken, then the peer's (PROTOCOL section 1.6).
So is what that version allows: `resume` and `sequence` are for peers of 0x02 and above.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from linksocks.errors import Cause, MessageError
from linksocks.wire import jsonbody
from linksocks.wire import messages as m

VERSION = 0x01

# The peers' bound for one message, so also for what a compressed one may grow to (PROTOCOL section 1.3).
MAX_MESSAGE = 32 << 20

MAX_STRING = 255

RAW, GZIP = 0, 1

# version, type, transport, channel, compression, length. These are 24 bytes, a multiple of 4: the payload
# behind them in a WebSocket frame meets the 4-byte mask in the same phase as if it stood alone.
_DATA_HEADER = struct.Struct(">BBB16sBI")
_pack_data_header = _DATA_HEADER.pack
_unpack_data_header = _DATA_HEADER.unpack_from
DATA_HEADER_SIZE = _DATA_HEADER.size

_TRANSPORTS = {int(transport): transport for transport in m.Transport}
_OPERATIONS = {int(operation): operation for operation in m.Operation}
_CAUSES = {int(cause): cause for cause in Cause}


def data_header(version: int, channel: m.ChannelId, length: int) -> bytes:
    """The head of an uncompressed TCP Data message, which `length` bytes of payload follow.

    The caller vouches for the 16 bytes of `channel`: struct would pad or cut it in silence.
    """
    return _pack_data_header(version, 0x04, 0x01, channel, RAW, length)


def version_of(data: bytes | bytearray | memoryview) -> int:
    """The version byte of a message. Its major half must be 0; any minor is welcome."""
    if len(data) < 2:
        raise MessageError("shorter than its header")
    version = data[0]
    if version > 0x0F:
        raise MessageError(f"unsupported major version in 0x{version:02x}")
    return version


def tcp_data(data: bytes | bytearray | memoryview) -> tuple[m.ChannelId, memoryview] | None:
    """Channel and payload of a plain TCP Data message; None for all that `parse` must look at.

    This is the hot path: a message here costs a third of what its class would.
    """
    if len(data) < DATA_HEADER_SIZE or data[1] != 0x04:
        return None
    version, _, transport, channel, compression, length = _unpack_data_header(data)
    if transport != 0x01 or compression == GZIP or length != len(data) - DATA_HEADER_SIZE or version > 0x0F:
        return None
    return channel, memoryview(data)[DATA_HEADER_SIZE:]


def parse(data: bytes | bytearray | memoryview, max_payload: int = MAX_MESSAGE) -> m.Message:
    """The message that `data` holds, all of it. A payload is a view into `data`, which must not change after.

    One that is compressed may grow to `max_payload` bytes.
    """
    plain = tcp_data(data)
    if plain is not None:
        return m.Data(*plain)
    version_of(data)
    if data[1] == m.Data.type:
        return _parse_data(memoryview(data), max_payload)
    parser = _PARSERS.get(data[1])
    if parser is None:
        return m.Unknown(data[1], bytes(data[2:]))
    return parser(memoryview(data))


def pack(message: m.Message, version: int = VERSION) -> bytes:
    """The bytes of a message. Data is never compressed."""
    try:
        return bytes((version, message.type)) + _PACKERS[type(message)](message)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{type(message).__name__} does not fit its fields: {error}") from error


class _Reader:
    """Reads the body of one message from front to back; a part that is cut short raises MessageError."""

    __slots__ = ("_at", "_data", "_name")

    def __init__(self, name: str, data: memoryview) -> None:
        self._name = name
        self._data = data
        self._at = 2

    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int, part: str) -> memoryview:
        if size > self.left():
            raise self.error(f"{part} is cut short")
        start = self._at
        self._at += size
        return self._data[start : self._at]

    def integer(self, size: int, part: str) -> int:
        return int.from_bytes(self.take(size, part))

    def flag(self, part: str) -> bool:
        return self.integer(1, part) != 0

    def id(self, part: str) -> bytes:
        return bytes(self.take(16, part))

    def name(self, part: str) -> str:
        """A token: a wrong byte in it would make it another one."""
        raw = self.take(self.integer(1, part), part)
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"{part} is not UTF-8") from error

    def text(self, part: str) -> str:
        """Words for a human, who prefers a wrong letter to no word, and addresses."""
        return str(self.take(self.integer(1, part), part), "utf-8", "replace")

    def error(self, reason: str) -> MessageError:
        return MessageError(f"{self._name}: {reason}")


# Parsers


def _parse_auth(data: memoryview) -> m.Auth:
    body = _Reader("Auth", data)
    return m.Auth(body.name("token"), body.flag("reverse"), body.id("instance"))


def _parse_auth_response(data: memoryview) -> m.AuthResponse:
    body = _Reader("AuthResponse", data)
    success = body.flag("success")
    if not body.left():
        return m.AuthResponse(success)
    if success:
        return m.AuthResponse(success, token=body.name("token"))
    return m.AuthResponse(success, error=body.text("error"))


def _parse_connect(data: memoryview) -> m.Connect:
    body = _Reader("Connect", data)
    transport = _TRANSPORTS.get(body.integer(1, "transport"))
    channel = body.id("channel")
    host, port = _parse_address(body, "address") if transport is m.Transport.TCP else m.NOWHERE
    resume = body.left() > 0 and body.flag("resume")
    return m.Connect(channel, host, port, transport, resume)


def _parse_data(data: memoryview, max_payload: int) -> m.Data:
    body = _Reader("Data", data)
    transport = _TRANSPORTS.get(body.integer(1, "transport"))
    channel = body.id("channel")
    compression = body.integer(1, "compression")
    payload: bytes | memoryview = body.take(body.integer(4, "length"), "payload")
    if compression == GZIP:
        payload = _gunzip(body, payload, max_payload)
    source = target = m.NOWHERE
    if transport is m.Transport.UDP:
        source = _parse_address(body, "source")
        target = _parse_address(body, "target")
    sequence = body.integer(8, "sequence") if body.left() >= 8 else 0
    return m.Data(channel, payload, transport, source, target, sequence)


def _parse_connect_response(data: memoryview) -> m.ConnectResponse:
    body = _Reader("ConnectResponse", data)
    success = body.flag("success")
    channel = body.id("channel")
    if success:
        return m.ConnectResponse(success, channel)
    error = body.text("error")
    # Older Go peers let a text of more than 255 bytes run on here: letters, never one of these small values.
    cause = _CAUSES.get(body.integer(1, "cause")) if body.left() else None
    return m.ConnectResponse(success, channel, error, cause)


def _parse_disconnect(data: memoryview) -> m.Disconnect:
    body = _Reader("Disconnect", data)
    return m.Disconnect(body.id("channel"), body.text("error") if body.left() else "")


def _parse_connector(data: memoryview) -> m.Connector:
    body = _Reader("Connector", data)
    channel = body.id("channel")
    token = body.name("token")
    operation = _OPERATIONS.get(body.integer(1, "operation"))
    if operation is None:
        raise body.error("unknown operation")
    return m.Connector(channel, token, operation)


def _parse_connector_response(data: memoryview) -> m.ConnectorResponse:
    body = _Reader("ConnectorResponse", data)
    channel = body.id("channel")
    if not body.flag("success"):
        return m.ConnectorResponse(channel, False, error=body.text("error"))
    return m.ConnectorResponse(channel, True, token=body.name("token") if body.left() else "")


def _parse_consumed(data: memoryview) -> m.Consumed:
    body = _Reader("Consumed", data)
    return m.Consumed(body.id("channel"), body.integer(8, "total"), body.integer(4, "window"))


def _parse_end_of_stream(data: memoryview) -> m.EndOfStream:
    return m.EndOfStream(_Reader("EndOfStream", data).id("channel"))


def _parse_leaving(_data: memoryview) -> m.Leaving:
    return m.Leaving()


def _parse_json(cls: type[Any], data: memoryview) -> m.Message:
    body = _Reader(cls.__name__, data)
    message: m.Message = jsonbody.load(cls, body.take(body.integer(4, "length"), "JSON"))
    return message


def _parse_address(body: _Reader, part: str) -> m.Address:
    # A wrong byte fails the dial of this channel; an error here would end the link with all its channels.
    return body.text(part), body.integer(2, part)


def _gunzip(body: _Reader, raw: bytes | memoryview, most: int) -> bytes:
    """The one gzip member in `raw`. It may grow by a factor of 1000, so its output is bounded."""
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(raw, most + 1)
    except zlib.error as error:
        raise body.error(f"broken gzip data: {error}") from error
    if len(plain) > most:
        raise body.error(f"gzip data of more than {most} bytes")
    if not inflater.eof:
        raise body.error("gzip data is cut short")
    if inflater.unused_data:
        raise body.error("bytes after the gzip data")
    return plain


_PARSERS: dict[int, Callable[[memoryview], m.Message]] = {
    m.Auth.type: _parse_auth,
    m.AuthResponse.type: _parse_auth_response,
    m.Connect.type: _parse_connect,
    m.ConnectResponse.type: _parse_connect_response,
    m.Disconnect.type: _parse_disconnect,
    m.Connector.type: _parse_connector,
    m.ConnectorResponse.type: _parse_connector_response,
    m.Consumed.type: _parse_consumed,
    m.EndOfStream.type: _parse_end_of_stream,
    m.Leaving.type: _parse_leaving,
    **{cls.type: partial(_parse_json, cls) for cls in jsonbody.BODIES},
}


# Packers


def _pack_auth(message: m.Auth) -> bytes:
    return _name(message.token) + bytes((message.reverse,)) + _id(message.instance)


def _pack_auth_response(message: m.AuthResponse) -> bytes:
    if not message.success:
        return b"\0" + _text(message.error)
    return b"\1" + _name(message.token) if message.token else b"\1"


def _pack_connect(message: m.Connect) -> bytes:
    address = _address((message.host, message.port)) if message.transport is m.Transport.TCP else b""
    return _transport(message) + _id(message.channel) + address + (b"\1" if message.resume else b"")


def _pack_data(message: m.Data) -> bytes:
    parts = [
        _transport(message),
        _id(message.channel),
        struct.pack(">BI", RAW, len(message.payload)),
        message.payload,
    ]
    if message.transport is m.Transport.UDP:
        parts += [_address(message.source), _address(message.target)]
    if message.sequence:
        parts.append(message.sequence.to_bytes(8))
    return b"".join(parts)


def _pack_connect_response(message: m.ConnectResponse) -> bytes:
    if message.success:
        return b"\1" + _id(message.channel)
    cause = b"" if message.cause is None else bytes((message.cause,))
    return b"\0" + _id(message.channel) + _text(message.error) + cause


def _pack_disconnect(message: m.Disconnect) -> bytes:
    return _id(message.channel) + (_text(message.error) if message.error else b"")


def _pack_connector(message: m.Connector) -> bytes:
    return _id(message.channel) + _name(message.token) + bytes((message.operation,))


def _pack_connector_response(message: m.ConnectorResponse) -> bytes:
    if not message.success:
        return _id(message.channel) + b"\0" + _text(message.error)
    return _id(message.channel) + b"\1" + (_name(message.token) if message.token else b"")


def _pack_consumed(message: m.Consumed) -> bytes:
    return _id(message.channel) + struct.pack(">QI", message.total, message.window)


def _pack_end_of_stream(message: m.EndOfStream) -> bytes:
    return _id(message.channel)


def _pack_leaving(_message: m.Leaving) -> bytes:
    return b""


def _pack_json(message: m.Message) -> bytes:
    body = jsonbody.dump(message)
    return len(body).to_bytes(4) + body


def _pack_unknown(message: m.Unknown) -> bytes:
    return message.body


def _transport(message: m.Connect | m.Data) -> bytes:
    if message.transport is None:
        raise ValueError("a message with an unknown transport is not for sending")
    return bytes((message.transport,))


def _id(raw: bytes) -> bytes:
    if len(raw) != 16:
        raise ValueError(f"an id has 16 bytes, not {len(raw)}")
    return raw


def _address(address: m.Address) -> bytes:
    host, port = address
    return _name(host) + port.to_bytes(2)


def _name(name: str) -> bytes:
    raw = name.encode()
    if len(raw) > MAX_STRING:
        raise ValueError(f"a token or an address has at most {MAX_STRING} bytes, not {len(raw)}")
    return bytes((len(raw),)) + raw


def _text(text: str) -> bytes:
    raw = text.encode(errors="replace")
    if len(raw) > MAX_STRING:
        raw = raw[:MAX_STRING].decode(errors="ignore").encode()
    return bytes((len(raw),)) + raw


_PACKERS: dict[type[Any], Callable[[Any], bytes]] = {
    m.Auth: _pack_auth,
    m.AuthResponse: _pack_auth_response,
    m.Connect: _pack_connect,
    m.Data: _pack_data,
    m.ConnectResponse: _pack_connect_response,
    m.Disconnect: _pack_disconnect,
    m.Connector: _pack_connector,
    m.ConnectorResponse: _pack_connector_response,
    m.Consumed: _pack_consumed,
    m.EndOfStream: _pack_end_of_stream,
    m.Leaving: _pack_leaving,
    m.Unknown: _pack_unknown,
    **dict.fromkeys(jsonbody.BODIES, _pack_json),
}
