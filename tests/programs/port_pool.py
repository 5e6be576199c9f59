"""`port_pool`: the ports that the server may choose from for reverse tokens; when all are given away, it says so."""

from outside import free_port

from linksocks import Server

pool = sorted({free_port() for _ in range(3)})

with Server(ws_host="127.0.0.1", ws_port=free_port(), port_pool=pool) as server:
    results = [server.add_reverse_token() for _ in pool]
    assert sorted(result.port for result in results) == pool
    try:
        server.add_reverse_token()
    except RuntimeError:
        pass
    else:
        raise AssertionError("a port out of nowhere")
    server.remove_token(results[0].token)
    assert server.add_reverse_token(token=results[0].token).port == results[0].port
print("port_pool: each of its ports, and no other")
