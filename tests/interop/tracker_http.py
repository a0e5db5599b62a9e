#!/usr/bin/env python3
"""aria2 and libtorrent find each other through our tracker alone, over HTTP, and exchange a file.

usage: tracker_http.py PATH-OF-SAMARA-OR-SAMARA-TRACKER
"""

import sys
import tempfile

from common import Checks, same_bytes
from trackers import Swarm, aria2, libtorrent, tracker, wait_until


def from_libtorrent_to_aria2(checks, scratch, url):
    swarm = Swarm(scratch, "to-aria2", url, 1)
    folder = swarm.folder("aria2")
    with libtorrent(swarm, swarm.content.parent) as seed:
        checks.that("the tracker counts libtorrent as a seed", wait_until(lambda: swarm.scrape(url) == (1, 0)))
        with aria2(swarm, folder) as log:
            arrived = wait_until(lambda: same_bytes(swarm.content, folder / swarm.name))
            checks.that("aria2 has the file from libtorrent", arrived, log)
            checks.that("the tracker counts both as seeds", wait_until(lambda: swarm.scrape(url) == (2, 0)))
        left = wait_until(lambda: swarm.scrape(url) == (1, 0))
        checks.that("the tracker knows that aria2 has left", left, swarm.scrape(url))
        checks.equal("libtorrent has nothing to complain of", seed.tracker_errors(), [])


def from_aria2_to_libtorrent(checks, scratch, url):
    swarm = Swarm(scratch, "from-aria2", url, 2)
    folder = swarm.folder("libtorrent")
    with aria2(swarm, swarm.content.parent) as log:
        checks.that("the tracker counts aria2 as a seed", wait_until(lambda: swarm.scrape(url) == (1, 0)), log)
        with libtorrent(swarm, folder) as leech:
            arrived = wait_until(leech.is_seeding) and same_bytes(swarm.content, folder / swarm.name)
            checks.that("libtorrent has the file from aria2", arrived, leech.handle.status().state)
            checks.equal("libtorrent has nothing to complain of", leech.tracker_errors(), [])


def between_libtorrents(checks, scratch, url):
    swarm = Swarm(scratch, "libtorrents", url, 3)
    folder = swarm.folder("leech")
    with libtorrent(swarm, swarm.content.parent) as seed, libtorrent(swarm, folder) as leech:
        checks.that("a libtorrent has the file from another", wait_until(leech.is_seeding))
        checks.equal("neither has anything to complain of", seed.tracker_errors() + leech.tracker_errors(), [])


def main():
    checks = Checks("tracker over HTTP")
    with tempfile.TemporaryDirectory() as scratch, tracker(sys.argv[1]) as urls:
        for scene in from_libtorrent_to_aria2, from_aria2_to_libtorrent, between_libtorrents:
            scene(checks, scratch, urls["http"])
    checks.finish()


if __name__ == "__main__":
    main()
