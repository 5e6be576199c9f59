"""Hypothesis strategies for all messages in canonical form: a round trip gives back what was drawn."""

from __future__ import annotations

from hypothesis import strategies as st

from linksocks.errors import Cause
from linksocks.wire import messages as m

ids = st.binary(min_size=16, max_size=16)
versions = st.integers(0, 15)
ports = st.integers(0, 65535)
uint64 = st.integers(0, 2**64 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
words = st.text(st.characters(exclude_categories=["Cs"]))
# 63 characters of at most 4 bytes fit the 255 bytes of a string.
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=63)
addresses = st.tuples(strings, ports)
payloads = st.binary(max_size=300)

candidates = st.lists(st.builds(m.Candidate, strings, ports, strings), max_size=3).map(tuple)

auth = st.builds(m.Auth, strings, st.booleans(), ids)
auth_response = st.one_of(
    st.builds(m.AuthResponse, st.just(True), token=strings),
    st.builds(m.AuthResponse, st.just(False), error=strings),
)
connect = st.one_of(
    st.builds(m.Connect, ids, strings, ports, st.just(m.Transport.TCP), st.booleans()),
    st.builds(m.Connect, ids, transport=st.just(m.Transport.UDP), resume=st.booleans()),
)
data = st.one_of(
    st.builds(m.Data, ids, payloads),
    st.builds(m.Data, ids, payloads, sequence=uint64),
    st.builds(m.Data, ids, payloads, st.just(m.Transport.UDP), addresses, addresses, uint64),
)
connect_response = st.one_of(
    st.builds(m.ConnectResponse, st.just(True), ids),
    st.builds(m.ConnectResponse, st.just(False), ids, strings, st.sampled_from([None, *Cause])),
)
disconnect = st.builds(m.Disconnect, ids, strings)
connector = st.builds(m.Connector, ids, strings, st.sampled_from(m.Operation))
connector_response = st.one_of(
    st.builds(m.ConnectorResponse, ids, st.just(True), token=strings),
    st.builds(m.ConnectorResponse, ids, st.just(False), error=strings),
)
json_messages = st.one_of(
    st.builds(m.Log, words, words),
    st.builds(m.Partners, int64),
    st.builds(
        m.DirectCapabilities, ids, candidates, st.lists(words).map(tuple), payloads, st.integers(0, 255)
    ),
    st.builds(m.DirectRendezvous, ids, ids, candidates, payloads, st.integers(0, 255)),
    st.builds(m.DirectStatus, ids, words, st.builds(m.Metrics, int64, int64, words)),
    st.builds(m.ChannelBind, ids, words, ids),
    st.builds(m.ChannelMigrate, ids, words),
    st.builds(m.ChannelMigrateAck, ids, st.booleans(), words),
    st.builds(m.ChannelDataAck, ids, uint64),
)
extensions = st.one_of(
    st.builds(m.Consumed, ids, uint64, st.integers(0, 2**32 - 1)),
    st.builds(m.EndOfStream, ids),
    st.builds(m.Leaving),
)
unknown = st.builds(m.Unknown, st.sampled_from([0x00, 0x12, 0x40, 0x44, 0x99, 0xFF]), payloads)

messages = st.one_of(
    auth,
    auth_response,
    connect,
    data,
    connect_response,
    disconnect,
    connector,
    connector_response,
    json_messages,
    extensions,
    unknown,
)
