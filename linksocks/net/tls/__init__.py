"""TLS: what a server shows, what a client believes, and their handshake."""
