//! Takes back what peers were told of pieces that are gone. The protocol has no word for that but silence about
//! them at the start of a link, so links start anew: peers know then what to wait for, and look elsewhere.

use std::time::{Duration, Instant};

use super::NodeLoop;
use super::torrent::TorrentState;
use crate::engine::event::{LinkId, TorrentId};

/// Not more often than this, however many files change one after the other.
const INTERVAL: Duration = Duration::from_secs(30);

/// Whether peers of a torrent were told of pieces that are gone.
#[derive(Debug, Default)]
pub(super) struct Retraction {
    is_due: bool,
    last: Option<Instant>,
}

impl Retraction {
    /// Verified pieces are gone.
    pub(super) fn on_lost(&mut self) {
        self.is_due = true;
    }

    /// Whether it is time to take something back; that counts as done.
    fn take_due(&mut self, now: Instant) -> bool {
        let is_early = self.last.is_some_and(|last| now.duration_since(last) < INTERVAL);
        let is_due = self.is_due && !is_early;
        if is_due {
            *self = Self { is_due: false, last: Some(now) };
        }
        is_due
    }
}

impl NodeLoop {
    /// Ends the links on which pieces were announced that are gone; whoever is there for more comes back.
    pub(super) fn retract(&mut self, now: Instant) {
        let is_due = |state: &mut TorrentState| state.retraction.take_due(now);
        let due = self.torrents.iter_mut().filter_map(|(&id, state)| is_due(state).then_some(id));
        let due: Vec<TorrentId> = due.collect();
        for torrent in due {
            self.list(torrent);
            let links = self.links.iter().filter(|(_, entry)| entry.torrent == torrent);
            let links: Vec<LinkId> = links.map(|(&link, _)| link).collect();
            links.into_iter().for_each(|link| self.end_link(link));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_taken_back_at_once_and_then_at_intervals() {
        let start = Instant::now();
        let mut retraction = Retraction::default();
        assert!(!retraction.take_due(start));
        retraction.on_lost();
        assert!(retraction.take_due(start) && !retraction.take_due(start));
        retraction.on_lost();
        assert!(!retraction.take_due(start + INTERVAL / 2));
        assert!(retraction.take_due(start + INTERVAL) && !retraction.take_due(start + 3 * INTERVAL));
    }
}
