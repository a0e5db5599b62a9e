#!/usr/bin/env python3
"""Our peers ask a tracker that knows BEP 3 and BEP 15 and nothing of ours, take it as it is, and go on to the next.

usage: tracker_foreign.py PATH-OF-SAMARA

OPENTRACKER names a folder with opentracker and its library, as Debian's packages unpack.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import lt as quiet
from common import LOOPBACK, Checks, Samara, same_bytes, wait_event
from trackers import PIECE_LENGTH, Swarm, environment, free_port, stopping, tracker, wait_until


@contextlib.contextmanager
def opentracker(scratch, info_hash):
    """Runs opentracker for one torrent; gives its announce URLs by protocol. It leaves root by itself."""
    root = pathlib.Path(os.environ["OPENTRACKER"]).absolute()
    home = pathlib.Path(scratch) / "opentracker"
    home.mkdir()
    (home / "whitelist").write_text(info_hash.hex() + "\n")
    # Whoever it becomes must be able to read its list.
    pathlib.Path(scratch).chmod(0o755)
    port = str(free_port())
    process = subprocess.Popen(
        [root / "usr/bin/opentracker", "-i", LOOPBACK, "-p", port, "-P", port, "-d", home, "-w", "whitelist"],
        env={**environment(), "LD_LIBRARY_PATH": str(root / "usr/lib")}, stdin=subprocess.DEVNULL)
    with stopping(process, signal.SIGKILL):
        yield {protocol: f"{protocol}://{LOOPBACK}:{port}/announce" for protocol in ("udp", "http")}


def figures(samara, torrent):
    """What each tracker says of the swarm, by its URL."""
    code, out, err = samara.run("show", torrent, "--scrape", "--json")
    if code not in (0, 1):
        raise RuntimeError(err)
    return {said["tracker"]: said for said in json.loads(out.splitlines()[0])["swarm"]}


def seeds(said):
    return (said.get("seeds"), said.get("leeches"))


def passed_over(checks, scratch, binary):
    swarm = Swarm(scratch, "foreign", "http://127.0.0.1:1/announce", 4)
    with opentracker(scratch, swarm.info_hash()) as foreign, tracker(binary) as own:
        urls = [foreign["udp"], foreign["http"], own["udp"]]
        swarm.torrent.write_bytes(quiet.describe(swarm.content, "v1", PIECE_LENGTH, urls))
        seed, leech = Samara(binary, swarm.scratch / "seeding"), Samara(binary, swarm.scratch / "leeching")
        ready = wait_until(lambda: "error" not in figures(leech, swarm.torrent)[foreign["udp"]])
        checks.that("opentracker tells figures over UDP", ready, figures(leech, swarm.torrent))
        checks.that("and over HTTP", "error" not in figures(leech, swarm.torrent)[foreign["http"]])

        process = seed.start("seed", swarm.torrent, "--data", swarm.content.parent)
        with stopping(process, signal.SIGINT):
            warnings = []
            while len(warnings) < len(foreign):
                message = wait_event(process, "warning")["message"]
                warnings += [message for url in foreign.values() if url in message]
            for url in foreign.values():
                said = [warning for warning in warnings if url in warning]
                checks.that(f"{url} gets one line", len(said) == 1, warnings)
                checks.that("that says what it lacks", all("no peers that speak libp2p" in w for w in said), said)
            counted = wait_until(lambda: seeds(figures(leech, swarm.torrent)[own["udp"]]) == (1, 0))
            checks.that("our tracker, third in the list, counts the seed", counted, figures(leech, swarm.torrent))
            out = swarm.folder("out")
            code, _, err = leech.run("get", swarm.torrent, "-o", out, "--exit", "--discovery", "tracker", "--json")
            checks.equal("a leech finds the seed behind two trackers of others", code, 0)
            checks.that("bit for bit", same_bytes(swarm.content, out / swarm.name), err)
        gone = wait_until(lambda: seeds(figures(leech, swarm.torrent)[foreign["udp"]]) == (0, 0))
        checks.that("opentracker is told of the end", gone, figures(leech, swarm.torrent))


def main():
    checks = Checks("trackers of others")
    with tempfile.TemporaryDirectory() as scratch:
        passed_over(checks, scratch, sys.argv[1])
    checks.finish()


if __name__ == "__main__":
    main()
