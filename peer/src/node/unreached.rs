//! Peers that the user or a link named and that cannot be reached: why, told once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libp2p::swarm::DialError;

use super::NodeLoop;
use crate::engine::event::{PeerKey, Source, TorrentId};
use crate::handle::{Role, innermost_cause};
use crate::net::address::without_identity;
use crate::net::transport::why_off;

/// Peers that a tracker named have been dialled twice or more by then, and have had the time to answer.
const IN_VAIN: Duration = Duration::from_secs(30);

/// Whether trackers have named peers of whom none can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Vain {
    /// None is named, or one is reached.
    #[default]
    No,
    /// So it is, and nobody knows yet.
    Since(Instant),
    /// It was told.
    Told,
}

impl NodeLoop {
    /// A peer of a torrent could not be reached, because of `reason`. Whoever was not named by hand is no news, and
    /// while others are linked nobody is missed.
    pub(super) fn tell_unreached(&mut self, torrent: TorrentId, peer: PeerKey, reason: &str) {
        let is_linked = self.links.values().any(|entry| entry.torrent == torrent);
        let Some(id) = self.peers.id(peer) else { return };
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        let is_named = state.known.get(&peer).is_some_and(|sightings| sightings.is_named_by(Source::Link));
        if is_linked || !is_named || !state.unreached.insert(peer) {
            return;
        }
        self.warn(torrent, format!("cannot reach the named peer {id}: {reason}"));
    }

    /// Tells once if none of those whom trackers named to a download can be reached.
    pub(super) fn tell_none_reached(&mut self) {
        let now = Instant::now();
        let linked: BTreeSet<TorrentId> = self.links.values().map(|entry| entry.torrent).collect();
        let mut vain = Vec::new();
        for (&torrent, state) in &mut self.torrents {
            if state.role == Role::Seed || state.vain == Vain::Told {
                continue;
            }
            let named = state.known.iter().filter(|(_, sightings)| sightings.is_named_by(Source::Tracker));
            let is_here = |peer: &PeerKey| {
                self.peers.id(*peer).is_some_and(|id| self.swarm.behaviour().wire.is_connected(&id))
            };
            let was_linked = !state.given.is_empty() || !state.parted.is_empty();
            let count = named.clone().count();
            if count == 0 || was_linked || linked.contains(&torrent) || state.known.keys().any(is_here) {
                state.vain = Vain::No;
                continue;
            }
            match state.vain {
                Vain::Since(since) if now.duration_since(since) >= IN_VAIN => {
                    state.vain = Vain::Told;
                    vain.push((torrent, count));
                }
                Vain::No => state.vain = Vain::Since(now),
                Vain::Since(_) | Vain::Told => {}
            }
        }
        for (torrent, count) in vain {
            let peers = if count == 1 { "one peer".to_owned() } else { format!("{count} peers") };
            self.warn(
                torrent,
                format!("the tracker named {peers}, and nobody could be reached so far; it is tried on"),
            );
        }
    }

    /// Why none of a peer's addresses may be dialled.
    pub(super) fn why_undialled(&self, peer: PeerKey) -> Option<String> {
        let bind = self.config.bind?;
        let address = self.peers.named_addresses(peer).next()?;
        Some(format!("{address}: {}", why_off(bind, address)))
    }
}

/// Why a dial failed, for people.
pub(super) fn reason(error: &DialError) -> String {
    match error {
        DialError::Transport(failures) => match failures.first() {
            Some((address, error)) => {
                let cause = innermost_cause(error);
                format!("{}: {}; it is tried again", without_identity(address), cause.trim_end_matches('.'))
            }
            None => "it has no address".to_owned(),
        },
        DialError::WrongPeerId { obtained, address } => {
            format!("{}: somebody else answers there, {obtained}", without_identity(address))
        }
        DialError::LocalPeerId { address } => {
            format!("{}: it is this node itself", without_identity(address))
        }
        other => other.to_string(),
    }
}
