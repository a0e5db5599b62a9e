"""libtorrent on the star, with its defaults: shares or fetches one torrent, and says what happens as samara does.

usage: python -c SCRIPT seed|get TORRENT FOLDER ADDRESS
"""

import json
import sys
import time

import libtorrent as lt

FIGURES_SECONDS = 1.0


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def main():
    role, torrent, folder, address = sys.argv[1:]
    session = lt.session({
        "listen_interfaces": f"{address}:6881",
        "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.status_notification
        | lt.alert.category_t.tracker_notification,
        # There is nobody but the tracker to find peers by.
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    })
    parameters = lt.load_torrent_file(torrent)
    parameters.save_path = folder
    parameters.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    handle = session.add_torrent(parameters)
    has_told, is_known, next_figures = False, False, time.monotonic() + FIGURES_SECONDS
    while True:
        session.wait_for_alert(20)
        for alert in session.pop_alerts():
            is_known |= isinstance(alert, lt.tracker_reply_alert)
        status = handle.status()
        if status.errc.value():
            say("error", message=status.errc.message())
            sys.exit(1)
        if status.is_seeding and not has_told and (is_known or role == "get"):
            has_told = True
            say("complete" if role == "get" else "seeding")
        if time.monotonic() >= next_figures:
            next_figures += FIGURES_SECONDS
            say("progress", bytes_done=status.total_wanted_done, peers=status.num_peers,
                bytes_sent=status.total_payload_upload, bytes_received=status.total_payload_download)


main()
