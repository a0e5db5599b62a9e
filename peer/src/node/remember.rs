//! Remembering peers that worked: loaded when a torrent is added, saved while it runs and when it is left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use samara_proto::infohash::InfoHashes;
use tokio::task::JoinHandle;

use super::NodeLoop;
use crate::engine::event::{PeerKey, Source, TorrentId};
use crate::net::discovery::cache::{self, CachedPeer};
use crate::net::discovery::{Discovered, Voice, seconds_since_1970};

/// Least time between two saves.
const SAVE_GAP: Duration = Duration::from_secs(5);
/// A set of peers that does not change is dated anew this often.
const SAVE_AGAIN: Duration = Duration::from_secs(600);
/// Peers of this session kept in mind: as many as are kept on disk.
const MET: usize = 200;

/// What was saved of one torrent's peers.
#[derive(Default)]
pub(super) struct Remembered {
    /// Peers whose link ended, and when, in seconds since 1970.
    met: BTreeMap<PeerKey, u64>,
    saved: BTreeSet<PeerKey>,
    saved_at: Option<Instant>,
    saving: Option<JoinHandle<()>>,
}

impl Remembered {
    /// The link with `peer` ended.
    pub(super) fn on_parted(&mut self, peer: PeerKey) {
        self.met.insert(peer, seconds_since_1970());
        if self.met.len() > MET {
            let oldest = self.met.iter().min_by_key(|(_, at)| **at).map(|(peer, _)| *peer);
            oldest.and_then(|peer| self.met.remove(&peer));
        }
    }

    /// Waits until what is being saved is saved.
    pub(super) async fn settle(&mut self) {
        if let Some(saving) = self.saving.take() {
            // A save that panicked is one that failed; it was reported.
            let _ = saving.await;
        }
    }
}

impl NodeLoop {
    /// Takes up the peers that worked in earlier sessions.
    pub(super) fn recall_peers(&mut self, torrent: TorrentId) {
        let Some(state) = self.torrents.get(&torrent) else { return };
        for path in self.peer_files(&state.names) {
            for CachedPeer { id: peer, addresses, .. } in cache::load(&path, seconds_since_1970()) {
                self.on_discovered(Discovered {
                    torrent,
                    peer,
                    addresses,
                    source: Source::Cache,
                    voice: Voice::default(),
                });
            }
        }
    }

    /// Saves the peers that worked, if there is something new.
    pub(super) fn remember_peers(&mut self, torrent: TorrentId, now: Instant) {
        let Some(state) = self.torrents.get(&torrent) else { return };
        let Some(active) = state.active() else { return };
        // Only a private torrent's tracker may say who takes part in it.
        if active.metainfo.is_private()
            || state.remembered.saving.as_ref().is_some_and(|task| !task.is_finished())
        {
            return;
        }
        let peers = self.peers_that_worked(torrent);
        let is_new = peers.keys().any(|peer| !state.remembered.saved.contains(peer));
        let is_due = match state.remembered.saved_at.map(|at| now.duration_since(at)) {
            None => is_new,
            Some(since) => since >= SAVE_AGAIN || (is_new && since >= SAVE_GAP),
        };
        if is_due && !peers.is_empty() {
            self.save_peers(torrent, &peers, now);
        }
    }

    /// Everybody linked in this session who can be dialled, and when last, in seconds since 1970.
    fn peers_that_worked(&self, torrent: TorrentId) -> BTreeMap<PeerKey, u64> {
        let Some(state) = self.torrents.get(&torrent) else { return BTreeMap::new() };
        let mut peers = state.remembered.met.clone();
        let linked = self.links.values().filter(|entry| entry.torrent == torrent);
        let now_secs = seconds_since_1970();
        peers.extend(linked.map(|entry| (entry.peer, now_secs)));
        peers.retain(|peer, _| self.peers.proven(*peer).next().is_some());
        peers
    }

    /// Begins to save the peers that worked whatever was saved before: the torrent is about to be left.
    pub(super) fn remember_peers_at_last(&mut self, torrent: TorrentId) {
        let Some(state) = self.torrents.get(&torrent) else { return };
        let is_public = state.active().is_some_and(|active| !active.metainfo.is_private());
        let peers = self.peers_that_worked(torrent);
        if is_public && !peers.is_empty() {
            self.save_peers(torrent, &peers, Instant::now());
        }
    }

    fn save_peers(&mut self, torrent: TorrentId, peers: &BTreeMap<PeerKey, u64>, now: Instant) {
        let now_secs = seconds_since_1970();
        let cached = |(&peer, &seen_secs): (&PeerKey, &u64)| {
            let addresses = self.peers.proven(peer).cloned().collect();
            Some(CachedPeer { id: self.peers.id(peer)?, addresses, seen_secs })
        };
        let list: Vec<CachedPeer> = peers.iter().filter_map(cached).collect();
        let Some(state) = self.torrents.get(&torrent) else { return };
        let files: Vec<PathBuf> = self.peer_files(&state.names).collect();
        if files.is_empty() {
            return;
        }
        let write = move || {
            for path in files {
                if let Err(error) = cache::save(&path, list.clone(), now_secs) {
                    tracing::warn!(%error, path = %path.display(), "peers could not be saved for next time");
                }
            }
        };
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        let remembered = &mut state.remembered;
        let mut before = Remembered { saving: remembered.saving.take(), ..Remembered::default() };
        let saving = tokio::spawn(async move {
            before.settle().await;
            // A save that panicked is one that failed.
            let _ = tokio::task::spawn_blocking(write).await;
        });
        remembered.saved = peers.keys().copied().collect();
        remembered.saved_at = Some(now);
        remembered.saving = Some(saving);
    }

    /// Where a torrent's peers are kept: under each name, because a link may carry only one.
    fn peer_files(&self, names: &InfoHashes) -> impl Iterator<Item = PathBuf> + use<> {
        let state_dir = self.config.state_dir.as_ref().filter(|_| self.config.discovery.cache);
        state_dir.map(|dir| cache::files(dir, names)).into_iter().flatten()
    }
}
