#!/usr/bin/env python3
"""How fast samara hashes: `samara create` against libtorrent's set_piece_hashes, both on all cores, in turns.

usage: create_speed.py PATH-OF-SAMARA [MIB=1024] [ROUNDS=5]
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from common import Checks, Samara, write_file

PIECE_LENGTH = 1 << 20

# A process of its own, so that both sides pay for their start.
LIBTORRENT = """
import sys, lt
open(sys.argv[2], "wb").write(lt.describe(sys.argv[1], sys.argv[3], int(sys.argv[4])))
"""


def libtorrent(content, torrent, format):
    subprocess.run([sys.executable, "-c", LIBTORRENT, content, torrent, format, str(PIECE_LENGTH)], check=True,
                   cwd=pathlib.Path(__file__).parent)


def timed(work):
    start, start_cpu = time.monotonic(), os.times()
    work()
    end_cpu = os.times()
    cpu = end_cpu.children_user + end_cpu.children_system - start_cpu.children_user - start_cpu.children_system
    return time.monotonic() - start, cpu


def main():
    mebibytes, rounds = [int(number) for number in (sys.argv[2:] + ["1024", "5"][len(sys.argv) - 2:])[:2]]
    checks = Checks("create_speed")
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        samara = Samara(sys.argv[1], root / "state")
        content = write_file(root / "large.bin", mebibytes << 20, 1)
        print(f"{mebibytes} MiB, pieces of {PIECE_LENGTH >> 10} KiB, {os.cpu_count()} cores, {rounds} rounds in turns")
        print(f"{'format':8} {'samara s (cpu)':>22} {'libtorrent s (cpu)':>22} {'libtorrent / samara':>20}")
        for format in ("v1", "v2", "hybrid"):
            ours, theirs = [], []
            for _ in range(rounds):
                def create():
                    code, _, err = samara.run("create", content, "--format", format, "--piece-length", PIECE_LENGTH,
                                              "-o", root / "ours.torrent", "--force")
                    if code:
                        raise RuntimeError(err)
                ours.append(timed(create))
                theirs.append(timed(lambda: libtorrent(content, root / "theirs.torrent", format)))
            (a, a_cpu), (b, b_cpu) = (map(statistics.median, zip(*runs)) for runs in (ours, theirs))
            print(f"{format:8} {a:12.2f} ({a_cpu:6.2f}) {b:13.2f} ({b_cpu:6.2f}) {b / a:20.2f}")
            if format == "v1":
                checks.that(f"{format}: not slower than libtorrent", a <= b, f"{a:.2f} s, libtorrent {b:.2f} s")
    checks.finish()


if __name__ == "__main__":
    main()
