"""A tracker of ours, and clients of others that know nobody but it."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import libtorrent as lt

import lt as quiet
from common import LOOPBACK, wait_event, write_file

SIZE = 8 * 1024 * 1024 + 12345
PIECE_LENGTH = 64 * 1024

# Nothing between two clients on loopback takes longer, start and announce included.
LIMIT = 60


def environment():
    """The environment without proxies: nothing here goes farther than loopback."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


@contextlib.contextmanager
def tracker(binary):
    """Runs a tracker on free ports; gives its announce URLs by protocol."""
    binary = os.path.abspath(binary)
    command = [binary] if os.path.basename(binary) == "samara-tracker" else [binary, "tracker"]
    address = f"{LOOPBACK}:0"
    process = subprocess.Popen([*command, "--json", "--http", address, "--udp", address],
                               env={**environment(), "SAMARA_BIND": LOOPBACK},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    with stopping(process):
        listeners = [wait_event(process, "listening") for _ in range(2)]
        yield {event["protocol"]: f"{event['protocol']}://{event['address']}/announce" for event in listeners}


@contextlib.contextmanager
def stopping(process, how=signal.SIGTERM):
    try:
        yield process
    finally:
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def wait_until(holds, limit=LIMIT):
    """Waits for `holds()`; whether it came true in time."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


class Swarm:
    """Made-up content of one name in a folder of its own, and its v1 torrent with one tracker."""

    def __init__(self, scratch, name, url, rng_seed):
        self.scratch = pathlib.Path(scratch) / name
        self.name, self.url = f"{name}.bin", url
        self.content = write_file(self.scratch / "seed" / self.name, SIZE, rng_seed)
        self.torrent = self.scratch / f"{name}.torrent"
        self.torrent.write_bytes(quiet.describe(self.content, "v1", PIECE_LENGTH, [url]))

    def folder(self, client):
        folder = self.scratch / client
        folder.mkdir(exist_ok=True)
        return folder

    def info_hash(self):
        return bytes.fromhex(quiet.hashes(self.torrent)[0])

    def scrape(self, http_url):
        """(seeds, others) as the tracker says over HTTP, whatever clients announce over."""
        url = http_url.replace("/announce", "/scrape")
        query = "info_hash=" + urllib.parse.quote_from_bytes(self.info_hash())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}?{query}", timeout=10) as answer:
            file = lt.bdecode(answer.read())[b"files"][self.info_hash()]
        return file[b"complete"], file[b"incomplete"]


class Libtorrent:
    """A libtorrent session with one torrent. It announces at once and finds nobody by itself."""

    def __init__(self, swarm, folder):
        self.session = quiet.session()
        self.handle = quiet.add(self.session, swarm.torrent, folder)
        self.handle.set_flags(lt.torrent_flags.disable_pex | lt.torrent_flags.disable_dht
                              | lt.torrent_flags.disable_lsd)
        self.said = []

    def is_seeding(self):
        return self.handle.status().is_seeding

    def tracker_errors(self):
        self.said += [alert.message() for alert in self.session.pop_alerts()
                      if isinstance(alert, (lt.tracker_error_alert, lt.tracker_warning_alert))]
        return self.said

    def announce(self):
        self.handle.force_reannounce(0, -1, lt.reannounce_flags_t.ignore_min_interval)

    def close(self):
        self.session.pause()
        del self.handle, self.session


@contextlib.contextmanager
def libtorrent(swarm, folder):
    client = Libtorrent(swarm, folder)
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def aria2(swarm, folder):
    """aria2c with one torrent, seeding it when it is whole; its DHT, PEX and LAN search are off."""
    log = swarm.scratch / "aria2.log"
    port = free_port()
    process = subprocess.Popen(
        ["aria2c", "--no-conf", f"--dir={folder}", f"--interface={LOOPBACK}", f"--listen-port={port}",
         "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
         "--enable-peer-exchange=false", "--disable-ipv6=true", "--check-integrity=true",
         "--allow-overwrite=true", "--seed-ratio=0", "--file-allocation=none", f"--log={log}",
         "--log-level=info", "--console-log-level=error", "--summary-interval=0", str(swarm.torrent)],
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    # Told to terminate it would not say goodbye to the tracker.
    with stopping(process, signal.SIGINT):
        yield log


class Transmission:
    """transmission-daemon over its RPC."""

    def __init__(self, port):
        self.url, self.session_id = f"http://{LOOPBACK}:{port}/transmission/rpc", ""
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method, **arguments):
        body = json.dumps({"method": method, "arguments": arguments}).encode()
        for _ in range(2):
            request = urllib.request.Request(self.url, body, {"X-Transmission-Session-Id": self.session_id})
            try:
                with self.opener.open(request, timeout=10) as answer:
                    return json.load(answer)["arguments"]
            except urllib.error.HTTPError as error:
                if error.code != 409:
                    raise
                self.session_id = error.headers["X-Transmission-Session-Id"]
        raise RuntimeError("Transmission keeps asking for a session id")

    def answers(self):
        try:
            self.call("session-get")
            return True
        except OSError:
            return False

    def torrent(self):
        fields = ["percentDone", "status", "trackerStats", "errorString", "leftUntilDone"]
        return self.call("torrent-get", fields=fields)["torrents"][0]

    def is_whole(self):
        torrent = self.torrent()
        # 6: seeding. A fresh torrent is queued for a check (1) before anything is known of it.
        return torrent["leftUntilDone"] == 0 and torrent["status"] == 6


@contextlib.contextmanager
def transmission(swarm, folder):
    """transmission-daemon with one torrent; its DHT, PEX, LAN search and uTP are off.

    It never dials loopback addresses, so the other side must be told of it and dial.
    """
    home = swarm.scratch / "transmission"
    home.mkdir()
    port = free_port()
    settings = {
        "bind-address-ipv4": LOOPBACK, "bind-address-ipv6": "::1", "dht-enabled": False, "lpd-enabled": False,
        "pex-enabled": False, "utp-enabled": False, "port-forwarding-enabled": False,
        "peer-port": free_port(), "rpc-bind-address": LOOPBACK, "rpc-port": port, "rpc-enabled": True,
        "rpc-authentication-required": False, "download-dir": str(folder), "encryption": 1,
        "blocklist-enabled": False, "incomplete-dir-enabled": False, "preallocation": 0,
    }
    (home / "settings.json").write_text(json.dumps(settings))
    with open(home / "log", "wb") as log:
        process = subprocess.Popen(["transmission-daemon", "--foreground", "--config-dir", str(home)],
                                   env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    with stopping(process):
        client = Transmission(port)
        if not wait_until(client.answers):
            raise RuntimeError(f"transmission-daemon does not start: {(home / 'log').read_text()}")
        client.call("torrent-add", filename=str(swarm.torrent), **{"download-dir": str(folder)})
        yield client
