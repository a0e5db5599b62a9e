//! What the node tells of itself: figures of each torrent to whoever follows it, and of everything at once.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::NodeLoop;
use super::autonomy::Sightings;
use crate::engine::event::{PeerKey, Source, TorrentId};
use crate::handle::TorrentEvent;
use crate::metrics::{NodeFigures, TorrentFigures};

impl NodeLoop {
    /// Tells everybody who follows a torrent how it stands.
    pub(super) fn tell_progress(&mut self) {
        let now = self.now();
        let mut links = self.linked_peers();
        for (id, state) in &mut self.torrents {
            let links = links.remove(id).unwrap_or_default();
            state.figures.links.store(links.len() as u64, Ordering::Relaxed);
            if let Some(active) = state.active() {
                let left = active.metainfo.layout().total_size().saturating_sub(active.bytes_done);
                state.figures.left.store(left, Ordering::Relaxed);
            }
            let progress = state.progress(now, &links);
            state.tell(TorrentEvent::Progress(progress));
        }
    }

    /// What the node is doing.
    pub(super) fn figures(&mut self) -> NodeFigures {
        let now = self.now();
        let mut links = self.linked_peers();
        let torrents = self.torrents.iter_mut().filter_map(|(id, state)| {
            let progress = state.progress(now, &links.remove(id).unwrap_or_default());
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

    /// The linked peers of each torrent, and whether each wants something from us.
    fn linked_peers(&self) -> BTreeMap<TorrentId, Vec<(PeerKey, bool)>> {
        let mut links: BTreeMap<TorrentId, Vec<(PeerKey, bool)>> = BTreeMap::new();
        for entry in self.links.values() {
            links.entry(entry.torrent).or_default().push((entry.peer, entry.wants_us));
        }
        links
    }
}
