"""The messages of the LinkSocks protocol (PROTOCOL section 1.2), one frozen class each, and two of our own.

Values only: `linksocks.wire.codec` turns them into bytes and back. `type` is the type byte of a class.

- Channels, instances and sessions are 16 raw bytes, not `uuid.UUID`: every Data message carries one.
- Tokens and payloads never show in a `repr`, so any message can be logged.
- A `transport` of None stands for a byte that we don't know. Such messages are received, never sent.
- Types above 0x40 are extensions, sent only to a peer that accepted them in the WebSocket handshake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, TypeAlias

from linksocks.errors import Cause

ChannelId: TypeAlias = bytes

Address: TypeAlias = tuple[str, int]

NO_ID = bytes(16)
NOWHERE: Address = ("", 0)


class Transport(IntEnum):
    """What a channel carries."""

    TCP = 1
    UDP = 2


class Operation(IntEnum):
    """What a Connector message asks for."""

    ADD = 1
    REMOVE = 2


# The link: who is there


@dataclass(frozen=True, slots=True)
class Auth:
    """The client's in-band login. The token is plain text, `instance` names the client process."""

    type: ClassVar[int] = 0x01
    token: str = field(repr=False)
    reverse: bool
    instance: bytes


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The server's answer; `token` is one that it assigned, for the reconnects."""

    type: ClassVar[int] = 0x02
    success: bool
    error: str = ""
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Log:
    """A line for the other side's log; `level` is trace, debug, info, warn or error."""

    type: ClassVar[int] = 0x09
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Partners:
    """How many links of the other role the token has: a connector learns of providers, and they of it."""

    type: ClassVar[int] = 0x0A
    count: int


# Channels


@dataclass(frozen=True, slots=True)
class Connect:
    """Opens a channel to `host:port`, or takes it up again. With UDP, each Data names its target instead."""

    type: ClassVar[int] = 0x03
    channel: ChannelId
    host: str = ""
    port: int = 0
    transport: Transport | None = Transport.TCP
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream, or one datagram. A parsed payload is a view into what was received, not a copy.

    For UDP `target` is where a datagram shall go and `source` where one came from; the other is NOWHERE.
    """

    type: ClassVar[int] = 0x04
    channel: ChannelId
    payload: bytes | memoryview = field(repr=False)
    transport: Transport | None = Transport.TCP
    source: Address = NOWHERE
    target: Address = NOWHERE
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class ConnectResponse:
    """Whether the target was reached. `cause` is our extension: foreign peers neither send nor miss it."""

    type: ClassVar[int] = 0x05
    success: bool
    channel: ChannelId
    error: str = ""
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The channel has ended, both directions."""

    type: ClassVar[int] = 0x06
    channel: ChannelId
    error: str = ""


@dataclass(frozen=True, slots=True)
class Consumed:
    """Flow control (our extension): `total` bytes were consumed, and `window` more than that are welcome."""

    type: ClassVar[int] = 0x41
    channel: ChannelId
    total: int
    window: int


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """The sender's direction of the channel has ended (our extension); the other one lives on."""

    type: ClassVar[int] = 0x42
    channel: ChannelId


@dataclass(frozen=True, slots=True)
class Leaving:
    """The sender ends soon and takes no new channels; those that there are go on (our extension)."""

    type: ClassVar[int] = 0x43


# Connector tokens, managed by a provider


@dataclass(frozen=True, slots=True)
class Connector:
    """A provider adds or removes a connector token; an empty one asks the server to make it up."""

    type: ClassVar[int] = 0x07
    channel: ChannelId
    token: str = field(repr=False)
    operation: Operation


@dataclass(frozen=True, slots=True)
class ConnectorResponse:
    """The answer to the Connector message with the same `channel`."""

    type: ClassVar[int] = 0x08
    channel: ChannelId
    success: bool
    error: str = ""
    token: str = field(default="", repr=False)


# Direct mode: signalling between two clients, which a server passes on (PROTOCOL section 9)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address at which a client may be reached; `kind` is srflx, relay or host."""

    addr: str
    port: int
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Metrics:
    """How well a direct path does."""

    rtt_ms: int = 0
    loss_ppm: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DirectCapabilities:
    """What a client offers for a direct path."""

    type: ClassVar[int] = 0x0B
    session: bytes
    candidates: tuple[Candidate, ...] = ()
    discoveries: tuple[str, ...] = ()
    public_key: bytes = b""
    protocol_version: int = 0


@dataclass(frozen=True, slots=True)
class DirectRendezvous:
    """The answer to capabilities: `session` is the receiver's, `remote_session` the sender's."""

    type: ClassVar[int] = 0x0C
    session: bytes
    remote_session: bytes = NO_ID
    candidates: tuple[Candidate, ...] = ()
    public_key: bytes = b""
    protocol_version: int = 0


@dataclass(frozen=True, slots=True)
class DirectStatus:
    """The state of a direct path: probing, ready, failed, degraded or disabled."""

    type: ClassVar[int] = 0x0D
    session: bytes
    status: str
    metrics: Metrics = Metrics()


@dataclass(frozen=True, slots=True)
class ChannelBind:
    """Tells the server which peer a channel of the direct path belongs to; `protocol` is tcp or udp."""

    type: ClassVar[int] = 0x0E
    channel: ChannelId
    protocol: str
    peer_session: bytes = NO_ID


@dataclass(frozen=True, slots=True)
class ChannelMigrate:
    """Asks to move a channel to the other path."""

    type: ClassVar[int] = 0x0F
    channel: ChannelId
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChannelMigrateAck:
    """The answer to ChannelMigrate."""

    type: ClassVar[int] = 0x10
    channel: ChannelId
    success: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class ChannelDataAck:
    """All Data of the channel up to `sequence` was written."""

    type: ClassVar[int] = 0x11
    channel: ChannelId
    sequence: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A type that we don't know. Peers of any age drop it without a word, and so do we."""

    type: int
    body: bytes


Message: TypeAlias = (
    Auth
    | AuthResponse
    | Connect
    | Data
    | ConnectResponse
    | Disconnect
    | Connector
    | ConnectorResponse
    | Log
    | Partners
    | DirectCapabilities
    | DirectRendezvous
    | DirectStatus
    | ChannelBind
    | ChannelMigrate
    | ChannelMigrateAck
    | ChannelDataAck
    | Consumed
    | EndOfStream
    | Leaving
    | Unknown
)
