//! What the node tells of itself: figures of each torrent to whoever follows it, and of everything at once.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::NodeLoop;
use super::autonomy::Sightings;
use super::torrent::{Active, Phase, TorrentState};
use super::waiting::Lack;
use crate::engine::event::{PeerKey, Source, TorrentId};
use crate::handle::{Role, TorrentEvent};
use crate::metrics::{NodeFigures, TorrentFigures};

/// So long after it began a torrent's figures are told oftener than later: many a download is no longer.
const BEGINNING: Duration = Duration::from_secs(3);

impl NodeLoop {
    /// Tells everybody who follows a torrent how it stands.
    pub(super) fn tell_progress(&mut self) {
        self.tell_progress_of(|_| true);
    }

    /// Tells the same of torrents that have just begun.
    pub(super) fn tell_beginnings(&mut self) {
        let has_begun = |active: &Active| active.since.elapsed() < BEGINNING;
        let is_due = |state: &TorrentState| state.active().is_some_and(has_begun);
        if self.torrents.values().any(is_due) {
            self.tell_progress_of(is_due);
        }
    }

    fn tell_progress_of(&mut self, is_due: impl Fn(&TorrentState) -> bool) {
        let now = self.now();
        let (mut links, mut lacks, outside) = (self.linked_peers(), self.lacks(), self.outside());
        for (id, state) in self.torrents.iter_mut().filter(|(_, state)| is_due(state)) {
            let (links, lack) = (links.remove(id).unwrap_or_default(), lacks.remove(id).unwrap_or_default());
            state.figures.links.store(links.len() as u64, Ordering::Relaxed);
            if let Some(active) = state.active() {
                state.figures.left.store(active.bytes_left(), Ordering::Relaxed);
            }
            let mut progress = state.progress(now, &links, lack, outside);
            if let Phase::Fetching(fetching) = &state.phase {
                let ids = fetching.asking.iter().filter_map(|&peer| self.peers.id(peer));
                progress.asked_peers = ids.filter(|id| self.swarm.behaviour().wire.is_connected(id)).count();
            }
            state.tell(TorrentEvent::Progress(progress));
        }
    }

    /// What the node is doing.
    pub(super) fn figures(&mut self) -> NodeFigures {
        let now = self.now();
        let (mut links, mut lacks, outside) = (self.linked_peers(), self.lacks(), self.outside());
        let torrents = self.torrents.iter_mut().filter_map(|(id, state)| {
            let (links, lack) = (links.remove(id).unwrap_or_default(), lacks.remove(id).unwrap_or_default());
            let progress = state.progress(now, &links, lack, outside);
            let mut known: BTreeMap<Source, usize> = BTreeMap::new();
            for source in state.known.values().map(Sightings::found_by) {
                *known.entry(source).or_default() += 1;
            }
            Some(TorrentFigures {
                info_hash: state.names.wire().next()?.to_string(),
                progress,
                downloaded: state.figures.downloaded.load(Ordering::Relaxed),
                uploaded: state.figures.uploaded.load(Ordering::Relaxed),
                known: known.into_iter().collect(),
            })
        });
        NodeFigures {
            torrents: torrents.collect(),
            connections: self.remotes.len(),
            dialability: self.reachability.dialability(now),
            dht_nodes: self.dht_nodes(),
        }
    }

    /// What each download misses.
    fn lacks(&self) -> BTreeMap<TorrentId, Lack> {
        let downloads = self.torrents.iter().filter(|(_, state)| state.role == Role::Get);
        let lacks = downloads.filter_map(|(&id, state)| {
            let shown = self.links.values().filter(|entry| entry.torrent == id).map(|entry| &entry.has);
            let mut needless = state.active()?.chosen.unwanted().clone();
            needless.set_all_of(self.engine.verified(id)?);
            Some((id, Lack::new(&needless, shown)))
        });
        lacks.collect()
    }

    /// The linked peers of each torrent, and whether each wants something from us.
    fn linked_peers(&self) -> BTreeMap<TorrentId, Vec<(PeerKey, bool)>> {
        let mut links: BTreeMap<TorrentId, Vec<(PeerKey, bool)>> = BTreeMap::new();
        for entry in self.links.values() {
            links.entry(entry.torrent).or_default().push((entry.peer, entry.wants_us));
        }
        links
    }
}
