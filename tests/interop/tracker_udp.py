#!/usr/bin/env python3
"""libtorrent and Transmission find each other through our tracker alone, over UDP, and exchange a file.

usage: tracker_udp.py PATH-OF-SAMARA-OR-SAMARA-TRACKER
"""

import sys
import tempfile

from common import Checks, same_bytes
from trackers import Swarm, libtorrent, tracker, transmission, wait_until


def from_transmission_to_libtorrent(checks, scratch, urls):
    swarm = Swarm(scratch, "from-transmission", urls["udp"], 1)
    folder = swarm.folder("libtorrent")
    with transmission(swarm, swarm.content.parent) as seed:
        checks.that("Transmission checks what it has", wait_until(seed.is_whole), seed.torrent())
        counted = wait_until(lambda: swarm.scrape(urls["http"]) == (1, 0))
        checks.that("the tracker counts Transmission as a seed", counted, seed.torrent()["trackerStats"])
        with libtorrent(swarm, folder) as leech:
            arrived = wait_until(leech.is_seeding) and same_bytes(swarm.content, folder / swarm.name)
            checks.that("libtorrent has the file from Transmission", arrived, leech.handle.status().state)
            checks.equal("libtorrent has nothing to complain of", leech.tracker_errors(), [])
        stats = seed.torrent()["trackerStats"][0]
        checks.that("Transmission is content with the answer", stats["lastAnnounceSucceeded"], stats)


def from_libtorrent_to_transmission(checks, scratch, urls):
    swarm = Swarm(scratch, "to-transmission", urls["udp"], 2)
    folder = swarm.folder("leech")
    with libtorrent(swarm, swarm.content.parent) as seed:
        counted = wait_until(lambda: swarm.scrape(urls["http"]) == (1, 0))
        checks.that("the tracker counts libtorrent as a seed", counted, seed.tracker_errors())
        with transmission(swarm, folder) as leech:
            counted = wait_until(lambda: swarm.scrape(urls["http"]) == (1, 1))
            checks.that("the tracker counts Transmission too", counted, leech.torrent()["trackerStats"])
            # Transmission knows libtorrent's address but dials no loopback; libtorrent asks again and does.
            seed.announce()
            checks.that("Transmission has the file from libtorrent", wait_until(leech.is_whole), leech.torrent())
            checks.that("bit for bit", same_bytes(swarm.content, folder / swarm.name))
            counted = wait_until(lambda: swarm.scrape(urls["http"]) == (2, 0))
            checks.that("the tracker counts both as seeds", counted, swarm.scrape(urls["http"]))
        checks.equal("libtorrent has nothing to complain of", seed.tracker_errors(), [])


def between_libtorrents(checks, scratch, urls):
    swarm = Swarm(scratch, "libtorrents", urls["udp"], 3)
    folder = swarm.folder("leech")
    with libtorrent(swarm, swarm.content.parent) as seed, libtorrent(swarm, folder) as leech:
        checks.that("a libtorrent has the file from another", wait_until(leech.is_seeding))
        checks.equal("neither has anything to complain of", seed.tracker_errors() + leech.tracker_errors(), [])


def main():
    checks = Checks("tracker over UDP")
    with tempfile.TemporaryDirectory() as scratch, tracker(sys.argv[1]) as urls:
        for scene in from_transmission_to_libtorrent, from_libtorrent_to_transmission, between_libtorrents:
            scene(checks, scratch, urls)
    checks.finish()


if __name__ == "__main__":
    main()
