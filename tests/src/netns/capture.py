"""Prints the packets that leave by the interfaces named, one a line: interface, then bytes in hex."""

import select
import socket
import sys

ETH_P_ALL = 3
PACKET_OUTGOING = 4

sockets = []
for name in sys.argv[1:]:
    # Made for no protocol and switched on by bind, so that nothing of another interface gets in.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((name, ETH_P_ALL))
    sockets.append(sock)
print("ready", flush=True)
while True:
    for sock in select.select(sockets, [], [])[0]:
        try:
            packet, (name, _, kind, *_) = sock.recvfrom(256)
        except OSError:
            # The interface is down; when it is up again packets come again.
            continue
        if kind == PACKET_OUTGOING:
            print(name, packet.hex(), flush=True)
