//! Peers that the user or a link named and that cannot be reached: why, told once.

use libp2p::Multiaddr;
use libp2p::swarm::DialError;

use super::NodeLoop;
use crate::engine::event::{PeerKey, Source, TorrentId};
use crate::handle::innermost_cause;
use crate::net::transport::why_off;

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
                format!("{}: {}; it is tried again", without_id(address), cause.trim_end_matches('.'))
            }
            None => "it has no address".to_owned(),
        },
        DialError::WrongPeerId { obtained, address } => {
            format!("{}: somebody else answers there, {obtained}", without_id(address))
        }
        DialError::LocalPeerId { address } => format!("{}: it is this node itself", without_id(address)),
        other => other.to_string(),
    }
}

fn without_id(address: &Multiaddr) -> Multiaddr {
    let is_id = |part: &libp2p::multiaddr::Protocol<'_>| matches!(part, libp2p::multiaddr::Protocol::P2p(_));
    address.iter().filter(|part| !is_id(part)).collect()
}
