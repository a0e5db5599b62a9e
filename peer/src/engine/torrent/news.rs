//! Telling others what we have got: at once, or several pieces together where nobody waits for them.
//!
//! A message alone costs several times its own bytes in headers. Who wants something of us already has enough to ask
//! for, and hears a little later what more there is.

use std::time::Duration;

use samara_proto::layout::PieceIndex;

use super::super::context::Context;
use super::super::event::{LinkId, PeerMessage};
use super::super::peer::Peer;
use super::super::timers::TimerName;
use super::Torrent;

/// The longest that news waits for more: little beside the time that a piece takes from peer to peer.
const WAIT: Duration = Duration::from_millis(100);
/// So many pieces wait for no more: on fast links they come in a moment.
const TOGETHER: usize = 8;

/// Tells a peer that we have `piece`, now or soon.
pub(super) fn tell(link: LinkId, peer: &mut Peer, piece: PieceIndex, context: &mut Context<'_>) {
    if !is_news(peer, piece) {
        return;
    }
    peer.untold.push(piece);
    if peer.wants_us && peer.untold.len() < TOGETHER {
        context.timers.set_no_later(TimerName::News, context.now + WAIT);
    } else {
        tell_all(link, peer, context);
    }
}

/// Tells a peer of all pieces that it was not told of and has not got in the meantime.
pub(super) fn tell_all(link: LinkId, peer: &mut Peer, context: &mut Context<'_>) {
    for piece in std::mem::take(&mut peer.untold) {
        if is_news(peer, piece) {
            context.send(link, PeerMessage::Have(piece));
        }
    }
}

/// Whether a peer is to be told that we have `piece`: one that has everything, too, as who gives decides better if
/// it knows what is where.
fn is_news(peer: &Peer, piece: PieceIndex) -> bool {
    !peer.has.get(piece) || peer.has.is_full() || peer.traits.upload_only
}

impl Torrent {
    /// Tells everybody what they were not told.
    pub fn tell_news(&mut self, context: &mut Context<'_>) {
        for (&link, peer) in &mut self.links {
            tell_all(link, peer, context);
        }
    }
}
