"""One plain TCP stream, to see what a link gives.

usage: python3 -c SCRIPT take ADDRESS BYTES | give ADDRESS BYTES
"""

import json
import socket
import sys
import time

PORT = 7000


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def take(address, expected):
    with socket.create_server((address, PORT)) as server:
        say("listening")
        stream, _ = server.accept()
    buffer, taken, began = bytearray(1 << 18), 0, None
    while taken < expected:
        length = stream.recv_into(buffer)
        if length == 0:
            sys.exit("the stream ended early")
        if began is None:
            # What came first was on its way before the clock began.
            began, expected = time.monotonic(), expected - length
            continue
        taken += length
    say("complete", bytes=taken, seconds=time.monotonic() - began)


def give(address, wanted):
    chunk = bytes(1 << 18)
    with socket.create_connection((address, PORT)) as stream:
        while wanted > 0:
            wanted -= stream.send(chunk[:min(wanted, len(chunk))])
        # Until the other end has it all.
        stream.shutdown(socket.SHUT_WR)
        stream.recv(1)


{"take": take, "give": give}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
