"""libtorrent as the suites use it: quiet sessions on loopback, and torrents in all three formats."""

import os
import pathlib
import time

import libtorrent as lt

from common import LOOPBACK

FORMATS = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}


def session(**settings):
    """A session that listens on loopback alone and looks for nobody by itself."""
    return lt.session({
        "listen_interfaces": f"{LOOPBACK}:0",
        "outgoing_interfaces": LOOPBACK,
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "allow_multiple_connections_per_ip": True,
        "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.tracker_notification
        | lt.alert.category_t.status_notification,
        **settings,
    })


def describe(path, format, piece_length, trackers=(), flags=0):
    """The bytes of a .torrent that libtorrent makes of a file or folder."""
    path = pathlib.Path(path)
    files = [entry for entry in lt.list_files(str(path))]
    torrent = lt.create_torrent(files, piece_length, FORMATS[format] | flags)
    for tier, url in enumerate(trackers):
        torrent.add_tracker(url, tier)
    lt.set_piece_hashes(torrent, str(path.parent))
    return lt.bencode(torrent.generate())


def hashes(torrent_path):
    """The full info-hashes as libtorrent reads them, in hexadecimal; None where there is none."""
    return hashes_of(lt.torrent_info(str(torrent_path)).info_hashes())


def hashes_of(both):
    return (str(both.v1) if both.has_v1() else None, str(both.v2) if both.has_v2() else None)


def add(session, torrent_path, folder, **extra):
    """Adds a .torrent whose content is, or will be, in `folder`."""
    parameters = lt.load_torrent_file(str(torrent_path))
    parameters.save_path = os.fspath(folder)
    parameters.flags &= ~lt.torrent_flags.auto_managed
    parameters.flags &= ~lt.torrent_flags.paused
    for name, value in extra.items():
        setattr(parameters, name, value)
    return session.add_torrent(parameters)


def wait_seeding(handle, limit):
    """Waits until the torrent is whole; returns whether it became so within `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if handle.status().is_seeding:
            return True
        time.sleep(0.02)
    return False


def checks_out(session, torrent_path, folder, limit=60):
    """Whether libtorrent, re-hashing `folder`, finds every piece."""
    handle = add(session, torrent_path, folder)
    handle.force_recheck()
    whole = wait_seeding(handle, limit)
    session.remove_torrent(handle)
    return whole
