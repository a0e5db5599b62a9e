#!/usr/bin/env python3
"""Where the speed stands: one seed, one leech, one file over loopback; samara, libtorrent and rqbit in turns.

libtorrent is kept to TCP: over loopback its uTP is several times slower.

Each number is the wall time from the start of the leech's process to its end, the file whole on disk.
A client that is not there is left out.

usage: speed.py PATH-OF-SAMARA [MIB=1024] [ROUNDS=3] [PATH-OF-RQBIT]
"""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from common import LOOPBACK, Checks, Samara, same_bytes, wait_event, write_file

HERE = pathlib.Path(__file__).parent
LIMIT = 300

LIBTORRENT_SEED = """
import sys, time, lt
session = lt.session(enable_outgoing_utp=False, enable_incoming_utp=False)
handle = lt.add(session, sys.argv[1], sys.argv[2])
assert lt.wait_seeding(handle, 600)
print(session.listen_port(), flush=True)
time.sleep(3600)
"""

LIBTORRENT_LEECH = f"""
import sys, time, lt
session = lt.session(enable_outgoing_utp=False, enable_incoming_utp=False)
handle = lt.add(session, sys.argv[1], sys.argv[2])
handle.connect_peer(("{LOOPBACK}", int(sys.argv[3])))
assert lt.wait_seeding(handle, {LIMIT})
"""


class SamaraClient:
    name = "samara"

    def __init__(self, binary, root, torrent, data):
        self.root, self.torrent = root, torrent
        self.binary = binary
        self.seed = Samara(binary, root / "samara-seed").start("seed", torrent, "--data", data)
        self.process = self.seed
        addresses = wait_event(self.seed, "seeding")["addresses"]
        # TCP, as for the others; the QUIC row shows the other transport.
        self.address = next(address for address in addresses if self.transport in address)

    transport = "/tcp/"

    def fetch(self, out):
        state = self.root / f"state-{out.name}"
        code, _, err = Samara(self.binary, state).run(
            "get", self.torrent, "-o", out, "--exit", "--peer", self.address, limit=LIMIT)
        if code:
            raise RuntimeError(err)


class SamaraQuicClient(SamaraClient):
    name, transport = "samara over QUIC", "/quic-v1"


class LibtorrentClient:
    name = "libtorrent"

    def __init__(self, binary, root, torrent, data):
        self.torrent = torrent
        self.process = subprocess.Popen([sys.executable, "-c", LIBTORRENT_SEED, torrent, data], cwd=HERE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = self.process.stdout.readline().strip()

    def fetch(self, out):
        subprocess.run([sys.executable, "-c", LIBTORRENT_LEECH, self.torrent, out, self.port], cwd=HERE, check=True,
                       timeout=LIMIT)


class RqbitClient:
    name = "rqbit"
    quiet = ["-v", "error", "--disable-dht", "--disable-upnp-port-forward", "--disable-lsd", "--disable-trackers",
             "--listen-ip", LOOPBACK]

    def __init__(self, binary, root, torrent, data):
        self.binary, self.torrent = shutil.which(binary), torrent
        if self.binary is None:
            raise FileNotFoundError(binary)
        self.port = "42400"
        self.process = subprocess.Popen(
            [self.binary, *self.quiet, "--listen-port", self.port, "download", "--disable-http-api", "--overwrite", "-o",
             data, torrent], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def fetch(self, out):
        out.mkdir()
        subprocess.run(
            [self.binary, *self.quiet, "download", "--disable-http-api", "--exit-on-finish", "-o", out, "--initial-peers",
             f"{LOOPBACK}:{self.port}", self.torrent], check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)


def main():
    mebibytes, rounds = [int(number) for number in (sys.argv[2:4] + ["1024", "3"][len(sys.argv[2:4]):])]
    binaries = {"rqbit": sys.argv[4] if len(sys.argv) > 4 else "rqbit"}
    checks = Checks("speed")
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        content = write_file(root / "data" / "large.bin", mebibytes << 20, 1)
        # v1, since rqbit reads nothing else; the same pieces for everybody.
        torrent = root / "large.torrent"
        import lt
        torrent.write_bytes(lt.describe(content, "v1", 1 << 20))
        clients, times = [], {}
        for kind in (SamaraClient, SamaraQuicClient, LibtorrentClient, RqbitClient):
            # A copy for each: rqbit touches what it seeds, and samara does not share what somebody touches.
            data = root / f"data of {kind.name}"
            data.mkdir()
            shutil.copyfile(content, data / content.name)
            try:
                clients.append(kind(binaries.get(kind.name, sys.argv[1]), root, torrent, data))
            except (OSError, RuntimeError, StopIteration) as error:
                print(f"note: {kind.name} is left out: {error!r}")
        time.sleep(5 + mebibytes / 256)  # rqbit does not say when it has checked what it seeds
        for number in range(rounds):
            for client in clients:
                out = root / f"{client.name.replace(' ', '-')}-{number}"
                start = time.monotonic()
                try:
                    client.fetch(out)
                    times.setdefault(client.name, []).append(time.monotonic() - start)
                    checks.that(f"{client.name}: identical", same_bytes(content, out / "large.bin"))
                except Exception as error:
                    checks.that(f"{client.name}: finished", False, repr(error))
                shutil.rmtree(out, ignore_errors=True)
        for client in clients:
            client.process.kill()
        print(f"{mebibytes} MiB, {os.cpu_count()} cores, {rounds} rounds in turns; medians")
        base = statistics.median(times.get("samara", [float("nan")]))
        for name, runs in times.items():
            median = statistics.median(runs)
            print(f"{name:18} {median:7.2f} s {mebibytes / median:8.0f} MiB/s   samara takes {base / median:5.2f} times as long"
                  f"   ({', '.join(f'{seconds:.2f}' for seconds in runs)})")
    checks.finish()


if __name__ == "__main__":
    main()
