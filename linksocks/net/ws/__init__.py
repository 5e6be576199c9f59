"""WebSockets (RFC 6455): `accept` and `connect` begin one, `websocket` is one, `writer` and `heartbeat` serve it."""
