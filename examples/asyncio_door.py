"""An asyncio service: a port of this machine that leads to a host of another network.

::

    LINKSOCKS_URL=ws://SERVER:8765 LINKSOCKS_TOKEN=key python examples/asyncio_door.py 5432 db.example.org:5432

Whoever connects to port 5432 here talks to db.example.org. Ctrl-C ends it.
"""

import asyncio
import os
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import closing, suppress

from linksocks import Client, LinkSocksError


async def main(port: int, host: str, far_port: int) -> None:
    tunnel = Client(
        os.environ["LINKSOCKS_TOKEN"], ws_url=os.environ["LINKSOCKS_URL"], socks=False, reconnect=True
    )

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            with closing(writer):
                sock = await tunnel.async_create_connection((host, far_port), timeout=10)
                far_reader, far_writer = await asyncio.open_connection(sock=sock)
                with closing(far_writer):
                    await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
        except (LinkSocksError, OSError) as error:
            print(error, file=sys.stderr)

    async with (
        tunnel,
        asyncio.TaskGroup() as visitors,
    ):  # who is inside at the end leaves before the tunnel does

        def admit(reader: StreamReader, writer: StreamWriter) -> None:
            visitors.create_task(serve(reader, writer))

        with closing(await asyncio.start_server(admit, "127.0.0.1", port)) as door:
            here = door.sockets[0].getsockname()[1]
            print(f"127.0.0.1:{here} leads to {host}:{far_port}", flush=True)
            await asyncio.Event().wait()  # until Ctrl-C


async def copy(reader: StreamReader, writer: StreamWriter) -> None:
    """One direction, to its end."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    with suppress(OSError):  # the other side is gone: the other direction tells
        writer.write_eof()


if __name__ == "__main__":
    target, _, number = sys.argv[2].rpartition(":")
    with suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]), target, int(number)))
