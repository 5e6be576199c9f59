"""The JSON bodies of the messages 0x09 to 0x11: one table of keys, read in both directions.

Lenient where Go's `encoding/json` is, as that is what wrote them: keys in any case, unknown ones ignored, an
absent or null one means the zero value. Strict where it is: types and number ranges. Every defect of a body,
however odd (depth, endless digits, NaN), is a MessageError.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from linksocks.errors import MessageError
from linksocks.wire import messages as m

# Real bodies have some hundred bytes. 1 MiB of the worst JSON takes 80 ms, in which nothing else runs.
MAX_JSON = 256 << 10


class Kind(NamedTuple):
    """A type of value. `load` raises ValueError; `zero` stands for an absent key."""

    load: Callable[[Any], Any]
    dump: Callable[[Any], Any]
    zero: Any


class Key(NamedTuple):
    """A field, its JSON key (in lower case) and kind; an `optional` one is left out while it is zero."""

    field: str
    name: str
    kind: Kind
    optional: bool = False


def dump(message: m.Message) -> bytes:
    """The JSON text of a message that SHAPES lists."""
    return json.dumps(_dump_object(message), ensure_ascii=False, separators=(",", ":")).encode(
        errors="replace"
    )


def load(cls: type[m.Message], body: memoryview) -> Any:
    """The message that a JSON text stands for."""
    if len(body) > MAX_JSON:
        raise MessageError(f"{cls.__name__}: {len(body)} bytes of JSON")
    try:
        value = json.loads(str(body, "utf-8", "replace"), parse_constant=_refuse, object_pairs_hook=_any_case)
        return _load_object(cls, value)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"{cls.__name__}: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _any_case(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name.lower(): value for name, value in pairs}


def _dump_object(value: Any) -> dict[str, Any]:
    fields = ((key, getattr(value, key.field)) for key in SHAPES[type(value)])
    return {
        key.name: key.kind.dump(item) for key, item in fields if not (key.optional and item == key.kind.zero)
    }


def _load_object(cls: type[Any], value: Any) -> Any:
    found = _expect(dict, value)
    fields = {}
    for key in SHAPES[cls]:
        item = found.get(key.name)
        try:
            fields[key.field] = key.kind.zero if item is None else key.kind.load(item)
        except ValueError as error:
            raise ValueError(f"{key.name}: {error}") from error
    return cls(**fields)


def _expect(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _load_text(value: Any) -> str:
    # An escaped lone surrogate is legal JSON, but no text that could be written anywhere.
    return str(_expect(str, value).encode(errors="replace"), "utf-8")


def _integer(low: int, high: int) -> Kind:
    def check(value: Any) -> int:
        if not low <= _expect(int, value) <= high:
            raise ValueError(f"expected {low} to {high}")
        return int(value)

    return Kind(check, check, 0)


def _list_of(kind: Kind) -> Kind:
    return Kind(
        lambda value: tuple(kind.load(item) for item in _expect(list, value)),
        lambda value: [kind.dump(item) for item in value],
        (),
    )


def _object_of(cls: type[Any], zero: Any = None) -> Kind:
    return Kind(lambda value: _load_object(cls, value), _dump_object, zero)


TEXT = Kind(_load_text, str, "")
BOOL = Kind(lambda value: _expect(bool, value), bool, False)
UUID = Kind(
    lambda value: uuid.UUID(_expect(str, value)).bytes, lambda value: str(uuid.UUID(bytes=value)), m.NO_ID
)
BASE64 = Kind(
    lambda value: base64.b64decode(_expect(str, value), validate=True),
    lambda value: base64.b64encode(value).decode(),
    b"",
)
INT64 = _integer(-(1 << 63), (1 << 63) - 1)
UINT64 = _integer(0, (1 << 64) - 1)
PORT = _integer(0, 65535)
BYTE = _integer(0, 255)
CANDIDATES = _list_of(_object_of(m.Candidate))
METRICS = _object_of(m.Metrics, m.Metrics())

SHAPES: dict[type[Any], tuple[Key, ...]] = {
    m.Log: (Key("level", "level", TEXT), Key("message", "msg", TEXT)),
    m.Partners: (Key("count", "count", INT64),),
    m.Candidate: (Key("addr", "addr", TEXT), Key("port", "port", PORT), Key("kind", "kind", TEXT, True)),
    m.Metrics: (
        Key("rtt_ms", "rtt_ms", INT64, True),
        Key("loss_ppm", "loss_ppm", INT64, True),
        Key("reason", "reason", TEXT, True),
    ),
    m.DirectCapabilities: (
        Key("session", "session_id", UUID),
        Key("candidates", "candidates", CANDIDATES, True),
        Key("discoveries", "discoveries", _list_of(TEXT), True),
        Key("public_key", "public_key", BASE64, True),
        Key("protocol_version", "protocol_version", BYTE, True),
    ),
    m.DirectRendezvous: (
        Key("session", "session_id", UUID),
        Key("remote_session", "remote_session_id", UUID),
        Key("candidates", "candidates", CANDIDATES, True),
        Key("public_key", "public_key", BASE64, True),
        Key("protocol_version", "protocol_version", BYTE, True),
    ),
    m.DirectStatus: (
        Key("session", "session_id", UUID),
        Key("status", "status", TEXT),
        Key("metrics", "metrics", METRICS),
    ),
    m.ChannelBind: (
        Key("channel", "channel_id", UUID),
        Key("protocol", "protocol", TEXT),
        Key("peer_session", "peer_session_id", UUID),
    ),
    m.ChannelMigrate: (Key("channel", "channel_id", UUID), Key("reason", "reason", TEXT, True)),
    m.ChannelMigrateAck: (
        Key("channel", "channel_id", UUID),
        Key("success", "success", BOOL),
        Key("error", "error", TEXT, True),
    ),
    m.ChannelDataAck: (Key("channel", "channel_id", UUID), Key("sequence", "sequence", UINT64)),
}

BODIES = tuple(cls for cls in SHAPES if hasattr(cls, "type"))
