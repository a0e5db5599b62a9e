"""Prints who dials this machine, or others through it: protocol, from whom, at which address and port.

A line for each attempt: a new initial sequence number over TCP, a new first connection identifier over QUIC.
"""

import select
import socket
import sys

PACKET_HOST = 0
# ARP, router solicitations and the like are nobody's dials.
ETH_P_IP = 0x0800
TCP, UDP = 6, 17
SYN, ACK = 2, 16

sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
sock.bind((sys.argv[1], ETH_P_IP))
print("ready", flush=True)
seen = set()
while True:
    readable, _, _ = select.select([sock, sys.stdin], [], [])
    if sys.stdin in readable:
        break
    packet, (_, _, kind, *_) = sock.recvfrom(256)
    ip = packet[14:]
    if kind != PACKET_HOST or len(ip) < 40:
        continue
    head = (ip[0] & 15) * 4
    inner = ip[head:]
    if ip[9] == TCP and len(inner) >= 20 and inner[13] & (SYN | ACK) == SYN:
        name, attempt = "tcp", inner[4:8]
    elif ip[9] == UDP and len(inner) >= 14 and inner[8] & 0xF0 == 0xC0:
        name, attempt = "quic", inner[14 : 14 + inner[13]]
    else:
        continue
    dial = name, ip[12:16], ip[16:20], inner[2:4], attempt
    if dial not in seen:
        seen.add(dial)
        print(name, socket.inet_ntoa(dial[1]), socket.inet_ntoa(dial[2]), int.from_bytes(dial[3], "big"), flush=True)
