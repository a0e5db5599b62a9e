//! Showing what we have: all at once, or piece by piece while we are a first seed.

use std::time::Duration;

use samara_proto::layout::PieceIndex;
use samara_proto::limits::BLOCK_LENGTH;

use super::super::context::Context;
use super::super::dispersal::Dispersal;
use super::super::event::{LinkId, PeerMessage, PeerTraits};
use super::super::peer::Peer;
use super::super::timers::TimerName;
use super::Torrent;

/// Least bytes shown ahead of what a link takes: what its first requests ask for.
const AHEAD_FLOOR: u64 = 32 * BLOCK_LENGTH as u64;
/// Most bytes shown ahead: twice what the fastest link requests ahead.
const AHEAD_CEILING: u64 = 32 * 1024 * 1024;
/// A peer that takes nothing of what it is shown for this long wants something else.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pieces more that it is then shown, each time.
const PIECES_FOR_THE_CHOOSY: usize = 4096;

impl Torrent {
    /// What we say first.
    pub(super) fn opening(&self, traits: PeerTraits) -> Option<PeerMessage> {
        if self.verified.is_empty() || self.dispersal.is_some() {
            traits.fast.then_some(PeerMessage::HaveNone)
        } else if traits.fast && self.verified.is_full() {
            Some(PeerMessage::HaveAll)
        } else {
            Some(PeerMessage::Bitfield(self.verified.clone()))
        }
    }

    /// Shows a link that came up something to want.
    pub(super) fn show_first(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(dispersal) = &mut self.dispersal else { return };
        dispersal.on_linked(link, self.layout.piece_count(), context.now);
        self.lure(link, context);
        context.timers.set_no_later(TimerName::Show, context.now + PATIENCE);
    }

    /// Shows a peer that wants nothing of what it was shown one piece more.
    pub(super) fn lure(&mut self, link: LinkId, context: &mut Context<'_>) {
        if self.links.get(&link).is_some_and(|peer| !peer.wants_us) {
            self.show_one(link, context);
        }
    }

    /// Shows a peer that may take from us as much as keeps it busy.
    pub(super) fn show_more(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get(&link).filter(|peer| !peer.we_choke) else { return };
        let ahead = peer.up.rate(context.now).clamp(AHEAD_FLOOR, AHEAD_CEILING);
        while self.dispersal.as_ref().is_some_and(|dispersal| dispersal.open_bytes(link) < ahead) {
            let Some(piece) = self.show_one(link, context) else { return };
            self.promise(link, piece, context);
        }
    }

    /// Counts a peer that is to be given `piece` as a copy of it.
    pub(super) fn promise(&mut self, link: LinkId, piece: PieceIndex, context: &mut Context<'_>) {
        let bytes = self.layout.piece_size(piece);
        if let Some(dispersal) = &mut self.dispersal {
            dispersal.promise(link, piece, bytes, context.rng);
        }
    }

    fn show_one(&mut self, link: LinkId, context: &mut Context<'_>) -> Option<PieceIndex> {
        let piece = self.dispersal.as_mut()?.show(link, context.now, context.rng)?;
        context.send(link, PeerMessage::Have(piece));
        Some(piece)
    }

    /// Shows more to those who take nothing of what they were shown: they may want other files.
    pub fn on_show_timer(&mut self, context: &mut Context<'_>) {
        let Some(dispersal) = &self.dispersal else { return };
        for link in dispersal.unmoved(context.now, PATIENCE) {
            let waits_for_us = |peer: &Peer| peer.we_choke && peer.wants_us || peer.uploads.is_busy();
            if self.links.get(&link).is_some_and(waits_for_us) {
                continue;
            }
            for _ in 0..PIECES_FOR_THE_CHOOSY {
                if self.show_one(link, context).is_none() {
                    break;
                }
            }
        }
        if self.dispersal.as_ref().is_some_and(Dispersal::is_needed) {
            context.timers.set_no_later(TimerName::Show, context.now + PATIENCE);
        }
    }
}
