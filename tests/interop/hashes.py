#!/usr/bin/env python3
"""Names agree: samara, libtorrent, torf, Transmission and aria2 read each other's torrents alike.

usage: hashes.py PATH-OF-SAMARA
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import libtorrent
import torf

import lt
from common import Checks, Samara, write_file

# libtorrent 2.1 renames what 2.0 has; the old names work in both.
warnings.simplefilter("ignore", DeprecationWarning)

BLOCK = 16 * 1024

# Name of a shape -> (piece length, {path below the shape's folder: size}); a single "" is a lone file.
SHAPES = {
    "one byte": (BLOCK, {"": 1}),
    "one block": (BLOCK, {"": BLOCK}),
    "one piece exactly": (4 * BLOCK, {"": 4 * BLOCK}),
    "less than one piece": (64 * BLOCK, {"": 5 * BLOCK + 7}),
    "many pieces exactly": (2 * BLOCK, {"": 64 * BLOCK}),
    "many pieces and a byte": (2 * BLOCK, {"": 64 * BLOCK + 1}),
    "many pieces less a byte": (2 * BLOCK, {"": 64 * BLOCK - 1}),
    "two MiB and a bit in large pieces": (64 * BLOCK, {"": 2 * 1024 * 1024 + 12345}),
    "имя не из ASCII 日本": (BLOCK, {"": 3 * BLOCK + 100}),
    "a folder of one": (BLOCK, {"only.bin": 2 * BLOCK + 5}),
    "a folder of small ones": (BLOCK, {f"{index:03}.txt": index * 37 + 1 for index in range(60)}),
    "a folder of exact pieces": (2 * BLOCK, {f"exact {index}.bin": 2 * BLOCK * (index + 1) for index in range(4)}),
    "a folder with empty files": (BLOCK, {"a": 0, "b": BLOCK + 1, "c": 0, "d/e": 3 * BLOCK, "d/f": 0, "z": 0}),
    "a deep folder": (BLOCK, {"1/2/3/4/5/6/7/8/9/leaf.bin": 40_000, "1/2/leaf.bin": 1, "leaf": 33_000}),
    "häufig 🌱": (4 * BLOCK, {
        "größe/naïve café.txt": 70_000, "пример.bin": 4 * BLOCK, "日本語/🌱.dat": 1, "ascii": 0, "Zebra": 9, "apple": 8,
        "apple.d/x": 100_000, "apple-": 3,
    }),
}


def make(shape, root):
    """Writes a shape's content; returns its piece length, its path and how libtorrent should list its sizes."""
    piece_length, files = SHAPES[shape]
    for index, (below, size) in enumerate(files.items()):
        write_file(root / shape / below if below else root / shape, size, index + 1)
    return piece_length, root / shape


def real_files(torrent_path):
    """{path with the torrent's name: size} as libtorrent reads it, without padding."""
    files = libtorrent.torrent_info(str(torrent_path)).files()
    return {
        files.file_path(index): files.file_size(index)
        for index in range(files.num_files())
        if not files.file_flags(index) & libtorrent.file_storage.flag_pad_file
    }


def is_lone_v2(torrent):
    """libtorrent takes a v2 folder of one file for that file alone, where BEP 52 asks for equal names too."""
    named = libtorrent.bdecode(pathlib.Path(torrent).read_bytes())[b"info"][b"name"].decode()
    return lt.hashes(torrent)[0] is None and len(real_files(torrent)) == 1 and named not in real_files(torrent)


def shown_files(shown):
    return {file["path"]: file["size"] for file in shown["files"]}


def agree(checks, claim, samara, torrent):
    """What samara shows of a torrent is what libtorrent reads in it."""
    shown = samara.json("show", torrent)
    checks.equal(f"{claim}: info-hashes", (shown["infohash_v1"], shown["infohash_v2"]), lt.hashes(torrent))
    info = libtorrent.torrent_info(str(torrent))
    checks.equal(f"{claim}: piece length", shown["piece_length"], info.piece_length())
    if not is_lone_v2(torrent):
        checks.equal(f"{claim}: name", shown["name"], info.name())
        checks.equal(f"{claim}: files", shown_files(shown), real_files(torrent))
    link = libtorrent.parse_magnet_uri(shown["magnet"])
    checks.equal(f"{claim}: magnet link", lt.hashes_of(link.info_hashes), lt.hashes(torrent))
    return shown


def verify(checks, claim, samara, torrent, folder):
    """samara finds the content whole."""
    report = samara.json("verify", torrent, folder)
    checks.that(f"{claim}: verify", report["complete"] and report["pieces_good"] == report["pieces_total"], report)


def foreign_torrents(checks, samara, content, shape, piece_length, work, *_):
    """What libtorrent, torf and Transmission make, samara reads."""
    for format in lt.FORMATS:
        claim = f"{format} by libtorrent of {shape}"
        torrent = work / f"{format}.torrent"
        torrent.write_bytes(lt.describe(content, format, piece_length, ["http://127.0.0.1:6969/announce"]))
        agree(checks, claim, samara, torrent)
        verify(checks, claim, samara, torrent, content.parent)

    made = torf.Torrent(path=content, piece_size=piece_length, trackers=["http://127.0.0.1:6969/announce"])
    made.generate()
    torrent = work / "torf.torrent"
    made.write(torrent)
    shown = samara.json("show", torrent)
    checks.equal(f"v1 by torf of {shape}: info-hash", shown["infohash_v1"], made.infohash)
    verify(checks, f"v1 by torf of {shape}", samara, torrent, content.parent)

    torrent = work / "transmission.torrent"
    run(["transmission-create", "--outfile", torrent, "--piecesize", str(piece_length // 1024), content])
    shown = samara.json("show", torrent)
    checks.equal(f"v1 by Transmission of {shape}: info-hash", shown["infohash_v1"], lt.hashes(torrent)[0])
    verify(checks, f"v1 by Transmission of {shape}", samara, torrent, content.parent)


def own_torrents(checks, samara, content, shape, piece_length, work, session, readers):
    """What samara makes, everybody else reads."""
    for format in lt.FORMATS:
        claim = f"{format} by samara of {shape}"
        torrent = work / f"own-{format}.torrent"
        code, _, err = samara.run("create", content, "--format", format, "--piece-length", piece_length,
                                  "--tracker", "http://127.0.0.1:6969/announce", "-o", torrent)
        checks.equal(f"{claim}: created", (code, err if code else ""), (0, ""))
        if code:
            continue
        shown = agree(checks, claim, samara, torrent)
        folder = content if is_lone_v2(torrent) and content.is_dir() else content.parent
        checks.that(f"{claim}: libtorrent finds every piece", lt.checks_out(session, torrent, folder))
        theirs = work / f"theirs-{format}.torrent"
        theirs.write_bytes(lt.describe(content, format, piece_length))
        if format == "v2":
            # The format leaves no choice, so the names must be the same; in v1 the order of files is free,
            # and a hybrid may or may not pad its last file.
            checks.equal(f"{claim}: the same name as libtorrent's", lt.hashes(torrent), lt.hashes(theirs))
            continue
        checks.equal(f"{claim}: torf's info-hash", torf.Torrent.read(torrent).infohash, shown["infohash_v1"])
        for reader in READERS if format == "v1" else readers:
            checks.equal(f"{claim}: {reader}'s hash", hash_by(reader, torrent), shown["infohash_v1"])
        if format == "v1":
            whole = torf.Torrent.read(torrent).verify(content)
            checks.that(f"{claim}: torf finds every piece", whole)


def hybrid_readers(root):
    """The programs that read a hybrid of libtorrent's; the others would fail on everybody's alike.

    Transmission 3.00 and aria2 1.36 do not survive the empty key that BEP 52 puts into every file tree.
    """
    content = write_file(root / "sample", 100_000, 1)
    torrent = root / "sample.torrent"
    torrent.write_bytes(lt.describe(content, "hybrid", BLOCK))
    readers = [reader for reader in READERS if hash_by(reader, torrent) == lt.hashes(torrent)[0]]
    for reader in READERS:
        if reader not in readers:
            print(f"note: this {reader} cannot read hybrids, not even libtorrent's: asked about v1 only")
    return readers


def damage(checks, samara, root):
    """A changed byte, a missing file and a short file are noticed, and named by the exit code."""
    content = root / "damage"
    for name, size in {"a": 100_000, "b": 50_000, "c": 70_000}.items():
        write_file(content / name, size, size)
    for format in lt.FORMATS:
        torrent = root / f"damage-{format}.torrent"
        samara.run("create", content, "--format", format, "--piece-length", BLOCK, "-o", torrent, "--force")
        original = (content / "b").read_bytes()
        wrongs = {
            "a changed byte": original[:30_000] + bytes([original[30_000] ^ 1]) + original[30_001:],
            "a short file": original[:-1],
            "a missing file": None,
        }
        for wrong, bytes_now in wrongs.items():
            if bytes_now is None:
                (content / "b").unlink()
            else:
                (content / "b").write_bytes(bytes_now)
            code, out, err = samara.run("verify", torrent, root, "--json")
            checks.equal(f"{format}: {wrong}: exit code", code, 3)
            checks.that(f"{format}: {wrong}: said", '"complete":false' in out.replace(" ", ""), out + err)
        (content / "b").write_bytes(original)
        checks.equal(f"{format}: repaired: exit code", samara.run("verify", torrent, root)[0], 0)


READERS = {
    "transmission-show": (["transmission-show"], r"Hash: ([0-9a-f]{40})"),
    "aria2c": (["aria2c", "--show-files"], r"Info Hash: ([0-9a-f]{40})"),
}


def hash_by(reader, torrent):
    """The v1 info-hash that another program prints for a .torrent, or all it said instead."""
    command, pattern = READERS[reader]
    said = run([*command, torrent])
    found = re.search(pattern, said)
    return found.group(1) if found else said.strip()


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=60)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def main():
    checks = Checks("hashes")
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        samara = Samara(sys.argv[1], root / "state")
        session, readers = lt.session(), hybrid_readers(root)
        for number, shape in enumerate(SHAPES):
            folder, work = root / f"content-{number}", root / f"torrents-{number}"
            folder.mkdir()
            work.mkdir()
            piece_length, content = make(shape, folder)
            for part in (foreign_torrents, own_torrents):
                try:
                    part(checks, samara, content, shape, piece_length, work, session, readers)
                except Exception as error:
                    checks.that(f"{shape}: {part.__name__}", False, f"{type(error).__name__}: {error}")
        damage(checks, samara, root)
    checks.finish()


if __name__ == "__main__":
    main()
