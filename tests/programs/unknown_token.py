"""`remove_token` returns what its docstring says: True if the token was removed, False if not found."""

from outside import free_port

from linksocks import Server

with Server(ws_host="127.0.0.1", ws_port=free_port()) as server:
    server.add_forward_token("the-token")
    said = [server.remove_token(token) for token in ("the-token", "the-token", "never-seen")]
assert said == [True, False, False], said
print("unknown token: True, False, False")
