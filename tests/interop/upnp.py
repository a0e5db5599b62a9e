#!/usr/bin/env python3
"""A node behind a router that speaks UPnP has a port opened, tells it to others, and closes it when it ends.

usage: upnp.py PATH-OF-SAMARA

Needs root: node and router are network namespaces joined by a cable, with no way out. The router is a small
stand-in for an Internet Gateway Device (UPnP IGD 1): it answers the search, describes itself and keeps a table.
"""

import contextlib
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from common import Checks, Samara, write_file

HOUSE, ROUTER, OUTSIDE = "10.77.0.2", "10.77.0.1", "11.22.33.44"
SSDP = ("239.255.255.250", 1900)
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
DESCRIPTION = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList><service>
<serviceType>{SERVICE}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<controlURL>/control</controlURL><eventSubURL>/event</eventSubURL><SCPDURL>/actions.xml</SCPDURL>
</service></serviceList></device></deviceList></device></deviceList></device></root>"""
ACTIONS = {
    "GetExternalIPAddress": ["NewExternalIPAddress"],
    "AddPortMapping": [],
    "DeletePortMapping": [],
}
PORT_FIELDS = ["NewRemoteHost", "NewExternalPort", "NewProtocol", "NewInternalPort", "NewInternalClient",
               "NewEnabled", "NewPortMappingDescription", "NewLeaseDuration"]
INPUTS = {"GetExternalIPAddress": [], "AddPortMapping": PORT_FIELDS, "DeletePortMapping": PORT_FIELDS[:3]}


def actions():
    """What the router can do, as UPnP describes it."""
    def argument(name, way):
        return f"<argument><name>{name}</name><direction>{way}</direction></argument>"

    def action(name):
        arguments = [argument(field, "in") for field in INPUTS[name]]
        arguments += [argument(field, "out") for field in ACTIONS[name]]
        return f"<action><name>{name}</name><argumentList>{''.join(arguments)}</argumentList></action>"

    listed = "".join(action(name) for name in ACTIONS)
    return f'<?xml version="1.0"?><scpd xmlns="urn:schemas-upnp-org:service-1-0"><actionList>{listed}</actionList></scpd>'


class Control(http.server.BaseHTTPRequestHandler):
    """The router's web server; says on standard output what it was asked."""

    def do_GET(self):
        self.reply(DESCRIPTION if self.path == "/root.xml" else actions())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        action = self.headers["SOAPAction"].strip('"').split("#")[1]
        fields = dict(re.findall(r"<(New\w+)[^>]*>([^<]*)</\1>", body))
        print(json.dumps({"action": action, **fields}), flush=True)
        answer = f"<NewExternalIPAddress>{OUTSIDE}</NewExternalIPAddress>" if action.startswith("Get") else ""
        self.reply(f'<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
                   f'<u:{action}Response xmlns:u="{SERVICE}">{answer}</u:{action}Response></s:Body></s:Envelope>')

    def reply(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def be_the_router():
    """Runs inside the router's namespace until killed."""
    server = http.server.ThreadingHTTPServer((ROUTER, 0), Control)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ears = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ears.bind(SSDP)
    group = struct.pack("4s4s", socket.inet_aton(SSDP[0]), socket.inet_aton(ROUTER))
    ears.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    print(json.dumps({"action": "listening"}), flush=True)
    while True:
        request, seeker = ears.recvfrom(2048)
        if request.startswith(b"M-SEARCH"):
            ears.sendto((f"HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
                         f"LOCATION: http://{ROUTER}:{server.server_port}/root.xml\r\n\r\n").encode(), seeker)


@contextlib.contextmanager
def house():
    """Two namespaces, of a node and of its router."""
    node, router = f"upnp-node-{os.getpid()}", f"upnp-router-{os.getpid()}"

    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)

    try:
        for name in node, router:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", node, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", router)
        for name, address in (node, HOUSE), (router, ROUTER):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", node, "route", "add", "default", "via", ROUTER)
        yield node, router
    finally:
        for name in node, router:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


class Listened:
    """The JSON lines of a process, read as they come."""

    def __init__(self, command, environment, folder=None):
        self.process = subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def wait(self, wanted, limit=30):
        """The lines that are wanted, once there is one."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            found = [line for line in list(self.lines) if wanted(line)]
            if found:
                return found
            time.sleep(0.05)
        return []

    def stop(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(30)


def inside(namespace, *command):
    return ["ip", "netns", "exec", namespace, *command]


def check(checks, binary, scratch, bound):
    """A seed in the house; with `bound` it must stay on its address and asks no router."""
    samara = Samara(binary, scratch / f"state-{bound}")
    content = write_file(scratch / f"content-{bound}.bin", 1 << 20, 1)
    with house() as (node, router):
        gateway = Listened(inside(router, sys.executable, os.path.abspath(__file__), "--router"), dict(os.environ))
        checks.that("the router is up", gateway.wait(lambda line: line["action"] == "listening"))
        environment = {**os.environ, "NO_COLOR": "1", "SAMARA_BIND": HOUSE}
        if not bound:
            del environment["SAMARA_BIND"]
        state = str(samara.state)
        command = [samara.binary, "--state-dir", state, "--json", "--metrics", f"{HOUSE}:9469", "seed", str(content)]
        seed = Listened(inside(node, *command), environment, state)
        checks.that("the seed is up", seed.wait(lambda line: line["event"] == "seeding"))
        if bound:
            time.sleep(3)
            asked = [line for line in gateway.lines if line["action"] != "listening"]
            checks.equal("a bound node asks no router", asked, [])
        else:
            opened = gateway.wait(lambda line: line["action"] == "AddPortMapping")
            checks.that("the router is asked to open a port", opened)
            wanted = {"NewInternalClient": HOUSE, "NewEnabled": "1"}
            for line in opened:
                checks.equal("to the node", {key: line.get(key) for key in wanted}, wanted)
            port = opened[0]["NewExternalPort"] if opened else "none"
            told = seed.wait(lambda line: line["event"] == "listening"
                             and line["address"].startswith(f"/ip4/{OUTSIDE}/") and f"/{port}" in line["address"])
            checks.that("the node tells others its address outside", told, seed.lines[-3:])
        seed.stop(signal.SIGINT)
        if not bound:
            closed = gateway.wait(lambda line: line["action"] == "DeletePortMapping", 5)
            ports = {line["NewExternalPort"] for line in closed}
            checks.that("the port is closed when the node ends", port in ports, gateway.lines[-3:])
        gateway.stop()


def main():
    if "--router" in sys.argv:
        return be_the_router()
    checks = Checks("UPnP")
    if os.geteuid() != 0:
        print("SKIPPED: the UPnP suite needs root for its network namespaces", flush=True)
        return None
    with tempfile.TemporaryDirectory() as scratch:
        for bound in False, True:
            check(checks, os.path.abspath(sys.argv[1]), pathlib.Path(scratch), bound)
    return checks.finish()


if __name__ == "__main__":
    main()
