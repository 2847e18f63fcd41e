"""A connection that its server closes at once is one without an answer, whichever event loop notices it first."""

import asyncio

from services.common.egress.connection import Connection


async def test_a_request_on_a_connection_that_has_closed_is_unanswered() -> None:
    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
        while not connection._transport.is_closing():  # noqa: ASYNC110  it rings no bell
            await asyncio.sleep(0.001)

        connection.send(b"POST / HTTP/1.1\r\n\r\n")

        assert not await connection.more()
        assert not connection.is_quiet
