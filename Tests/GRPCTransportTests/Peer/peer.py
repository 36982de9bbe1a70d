"""The conformance service and its client in Python, over the reference implementation.

usage: peer.py serve          prints the port and serves until its input ends
       peer.py check ADDRESS  calls the service at ADDRESS; prints a line for each check and fails where one does
"""

import asyncio
import struct
import sys
import traceback

import grpc

SERVICE = "baton.test.Conformance"
OPTIONS = [
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
]
CODES = {code.value[0]: code for code in grpc.StatusCode}


def pattern(count, seed):
    state = (seed * 2654435761 | 1) & 0xFFFFFFFF
    result = bytearray()
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        result.append(state >> 24)
    return bytes(result)


def words(*values):
    return struct.pack(f"<{len(values)}I", *values)


def chosen(metadata, key):
    return [(k, v) for k, v in metadata or () if k in (key, key + "-bin")]


# The service ---------------------------------------------------------------------------------------------------------

counts = {"cancelled": 0}


async def unary(request, context):
    metadata = context.invocation_metadata()
    values = {k: v for k, v in metadata}
    trailing = chosen(metadata, "x-trailing")
    code = int(values.get("x-status", "0"))
    if code:
        await context.abort(CODES[code], values.get("x-message", ""), tuple(trailing))
    await context.send_initial_metadata(tuple(chosen(metadata, "x-initial")))
    context.set_trailing_metadata(tuple(trailing))
    return request


async def down(request, context):
    count, size, code = struct.unpack("<3I", request)
    for index in range(count):
        yield pattern(size, index) if size <= 4096 else bytes(size)
    context.set_trailing_metadata((("x-trailing", "sent"),))
    if code:
        await context.abort(CODES[code], "asked for")


async def up(requests, context):
    messages = total = 0
    async for request in requests:
        messages += 1
        total += len(request)
    return words(messages, total)


async def both(requests, context):
    async for request in requests:
        yield request


async def hang(requests, context):
    try:
        await context.send_initial_metadata(())
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        counts["cancelled"] += 1
        raise
    yield b""


async def cancelled(request, context):
    return words(counts["cancelled"])


async def deadline(request, context):
    left = context.time_remaining()
    return words(0xFFFFFFFF if left is None else max(0, int(left * 1000)))


async def serve():
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                SERVICE,
                {
                    "Unary": grpc.unary_unary_rpc_method_handler(unary),
                    "Down": grpc.unary_stream_rpc_method_handler(down),
                    "Up": grpc.stream_unary_rpc_method_handler(up),
                    "Both": grpc.stream_stream_rpc_method_handler(both),
                    "Hang": grpc.stream_stream_rpc_method_handler(hang),
                    "Cancelled": grpc.unary_unary_rpc_method_handler(cancelled),
                    "Deadline": grpc.unary_unary_rpc_method_handler(deadline),
                },
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(None)


# The client ----------------------------------------------------------------------------------------------------------


class Client:
    def __init__(self, channel):
        def path(name):
            return f"/{SERVICE}/{name}"

        self.unary = channel.unary_unary(path("Unary"))
        self.down = channel.unary_stream(path("Down"))
        self.up = channel.stream_unary(path("Up"))
        self.both = channel.stream_stream(path("Both"))
        self.hang = channel.stream_stream(path("Hang"))
        self.cancelled = channel.unary_unary(path("Cancelled"))
        self.deadline = channel.unary_unary(path("Deadline"))
        self.nowhere = channel.unary_unary(path("Nowhere"))


async def status(call):
    """The code that a call ends with, and its details."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


async def check_unary(client):
    for message in (b"", b"hello", pattern(100_000, 1)):
        assert await client.unary(message) == message


async def check_server_streaming(client):
    assert [m async for m in client.down(words(5, 1000, 0))] == [pattern(1000, i) for i in range(5)]
    call = client.down(words(2, 0, 0))
    assert [m async for m in call] == [b"", b""]
    assert dict(await call.trailing_metadata())["x-trailing"] == "sent"


async def check_client_streaming(client):
    async def messages(count):
        for index in range(count):
            yield pattern(100, index)

    assert await client.up(messages(7)) == words(7, 700)
    assert await client.up(messages(0)) == words(0, 0)


async def check_bidirectional_and_half_close(client):
    call = client.both()
    for index in range(20):
        await call.write(pattern(index * 10, index))
        assert await call.read() == pattern(index * 10, index)
    await call.write(b"last")
    await call.done_writing()
    assert await call.read() == b"last"
    assert await call.read() is grpc.aio.EOF
    assert await call.code() == grpc.StatusCode.OK


async def check_metadata(client):
    sent = (
        ("x-initial", "first"),
        ("x-initial", "second"),
        ("x-initial-bin", bytes([0, 1, 255, 10])),
        ("x-trailing", "last"),
        ("x-trailing-bin", b""),
        ("x-trailing-bin", bytes([7, 0, 7])),
    )
    call = client.unary(b"", metadata=sent)
    await call
    assert chosen(await call.initial_metadata(), "x-initial") == list(sent[:3])
    assert chosen(await call.trailing_metadata(), "x-trailing") == list(sent[3:])


async def check_each_status(client):
    for code in range(1, 17):
        sent = (("x-status", str(code)), ("x-message", "reason 100% %41"), ("x-trailing-bin", b"\x09"))
        call = client.unary(b"", metadata=sent)
        assert await status(call) == (CODES[code], "reason 100% %41"), code
        assert chosen(await call.trailing_metadata(), "x-trailing") == [("x-trailing-bin", b"\x09")]
    assert (await status(client.nowhere(b"")))[0] == grpc.StatusCode.UNIMPLEMENTED


async def check_failure_after_messages(client):
    call = client.down(words(3, 10, 15))
    received = []
    try:
        async for message in call:
            received.append(message)
        raise AssertionError("ended well")
    except grpc.aio.AioRpcError as error:
        assert error.code() == grpc.StatusCode.DATA_LOSS, error
    assert len(received) == 3


async def check_deadline_is_carried(client):
    (left,) = struct.unpack("<I", await client.deadline(b"", timeout=60))
    assert 30_000 < left < 70_000, left  # Rounded up on the wire.
    assert struct.unpack("<I", await client.deadline(b"")) == (0xFFFFFFFF,)


async def cancelled_beyond(client, before):
    for _ in range(3000):
        (now,) = struct.unpack("<I", await client.cancelled(b""))
        if now > before:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the server never saw the cancellation")


async def check_deadline_ends_the_call(client):
    (before,) = struct.unpack("<I", await client.cancelled(b""))
    call = client.hang(timeout=0.5)
    try:
        await call.read()
    except grpc.aio.AioRpcError:
        pass
    assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await cancelled_beyond(client, before)


async def check_cancellation_is_seen(client):
    (before,) = struct.unpack("<I", await client.cancelled(b""))
    call = client.hang()
    await call.initial_metadata()
    call.cancel()
    await cancelled_beyond(client, before)


async def check_large_messages(client):
    message = bytes(range(256)) * (32 << 10)
    assert await client.unary(message) == message
    assert [len(m) async for m in client.down(words(3, 8 << 20, 0))] == [8 << 20] * 3
    assert (await status(client.unary(bytes((16 << 20) + 1))))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await client.unary(b"still here") == b"still here"


async def check_a_thousand_streams(client):
    async def one(index):
        call = client.both()
        for turn in range(3):
            message = pattern(64, index * 3 + turn)
            await call.write(message)
            assert await call.read() == message
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF

    await asyncio.gather(*(one(index) for index in range(1000)))


async def check(address):
    failed = False
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        client = Client(channel)
        for name, run in list(globals().items()):
            if not name.startswith("check_"):
                continue
            try:
                await asyncio.wait_for(run(client), 120)
                print("ok", name[6:], flush=True)
            except BaseException:
                failed = True
                print("FAIL", name[6:], traceback.format_exc().replace("\n", " | "), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(serve() if sys.argv[1] == "serve" else check(sys.argv[2])))
