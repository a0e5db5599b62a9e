//! Showing what we have: all at once, or piece by piece while we are a first seed.

use std::time::Duration;

use samara_proto::layout::PieceIndex;

use super::super::context::Context;
use super::super::dispersal::{Choice, Dispersal};
use super::super::event::{LinkId, PeerMessage, PeerTraits};
use super::super::peer::Peer;
use super::super::timers::TimerName;
use super::Torrent;

/// A peer that takes nothing of what it is shown for this long, and for as long as a slot takes to give so many bytes,
/// wants something else: what it asked for before may be on its way.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_BYTES: u64 = 512 * 1024;
/// The same for a peer that has wanted nothing yet, and how long a peer has to be alone to choose for itself: a
/// few round trips, and time for others to come.
const PATIENCE_AT_FIRST: Duration = Duration::from_millis(500);
/// Pieces that one who chooses for itself is shown each time.
const PIECES_AT_ONCE: usize = 4096;
/// Between two such times.
const SHOW_INTERVAL: Duration = Duration::from_millis(100);

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
        dispersal.on_linked(link, context.now);
        self.lure(link, context);
        context.timers.set_no_later(TimerName::Show, context.now + PATIENCE_AT_FIRST);
    }

    /// Shows a peer that wants nothing of what it was shown one piece more.
    pub(super) fn lure(&mut self, link: LinkId, context: &mut Context<'_>) {
        if self.links.get(&link).is_some_and(|peer| !peer.wants_us) {
            self.lure_once(link, context);
        }
    }

    fn lure_once(&mut self, link: LinkId, context: &mut Context<'_>) -> Option<PieceIndex> {
        let piece = self.dispersal.as_mut()?.lure(link, context.now, context.rng)?;
        context.send(link, PeerMessage::Have(piece));
        Some(piece)
    }

    /// Shows a peer that may take from us as much as keeps it busy.
    pub(super) fn show_more(&mut self, link: LinkId, context: &mut Context<'_>) {
        if self.links.get(&link).is_none_or(|peer| peer.we_choke) {
            return;
        }
        while !self.is_shown_enough(link, context)
            && let Some(dispersal) = &mut self.dispersal
            && dispersal.has_room(link)
            && let Some(Choice { piece, instead_of }) = dispersal.choose(link, context.now, context.rng)
        {
            if let Some(other) = instead_of {
                dispersal.take(other, piece, context.now, context.rng);
            }
            dispersal.promise(link, piece, context.now, context.rng);
            if let Some(peer) = self.links.get_mut(&link) {
                peer.turn.on_shown(self.layout.piece_size(piece));
            }
            context.send(link, PeerMessage::Have(piece));
            // Without BEP 6 it could not be told, and is served all the same.
            if let Some(other) =
                instead_of.filter(|other| self.links.get(other).is_some_and(|peer| peer.traits.fast))
            {
                self.refuse_waiting_of(other, piece, context);
            }
        }
    }

    /// Shows more to all that may take from us: something is free for them.
    pub(super) fn show_all_more(&mut self, context: &mut Context<'_>) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.show_more(link, context);
        }
    }

    /// Whether a peer was shown all that belongs to its turn, and somebody else waits.
    pub(super) fn is_shown_enough(&self, link: LinkId, context: &Context<'_>) -> bool {
        let length = self.turn_length(context);
        let shown_all = |peer: &Peer| peer.turn.is_shown_all(length);
        context.choker.is_wanted(context.config)
            && self.dispersal.as_ref().is_some_and(Dispersal::is_needed)
            && self.links.get(&link).is_some_and(shown_all)
    }

    /// Counts a peer that asks for `piece` as a copy of it. If it was refused that before, it is told that it may
    /// have it now: it would not ask for the rest.
    pub(super) fn promise(&mut self, link: LinkId, piece: PieceIndex, context: &mut Context<'_>) {
        let Some(dispersal) = &mut self.dispersal else { return };
        if dispersal.promise(link, piece, context.now, context.rng) {
            context.send(link, PeerMessage::Have(piece));
        }
    }

    /// Shows more to those who take nothing of what they were shown, as they may want other files, and to one who
    /// is alone, as it may want another order.
    pub fn on_show_timer(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        let usual = patience(context.choker.uplink.slot_rate(context.config));
        let Some(dispersal) = &mut self.dispersal else { return };
        dispersal.write_off(now, context.rng);
        for (link, open_bytes) in dispersal.unmoved(now, PATIENCE_AT_FIRST) {
            let Some(peer) = self.links.get(&link) else { continue };
            let patience = if peer.ever_wanted_us { usual } else { PATIENCE_AT_FIRST };
            if peer.wants_us && (peer.we_choke || peer.uploads.is_busy() || open_bytes == 0) {
                // It waits for us.
                self.show_more(link, context);
            } else if let Some(dispersal) = &mut self.dispersal {
                dispersal.give_way(link, now, patience);
            }
        }
        let Some(dispersal) = self.dispersal.as_ref().filter(|dispersal| dispersal.is_needed()) else {
            return;
        };
        let choosing = dispersal.choosing(now, PATIENCE_AT_FIRST);
        let again = if !choosing.is_empty() {
            SHOW_INTERVAL
        } else if dispersal.has_newcomer(now, PATIENCE_AT_FIRST) {
            // It came after this was timed.
            PATIENCE_AT_FIRST
        } else {
            PATIENCE
        };
        context.timers.set_no_later(TimerName::Show, now + again);
        for link in choosing {
            let shown = (0..PIECES_AT_ONCE).map_while(|_| self.lure_once(link, context));
            shown.for_each(drop);
        }
    }

    /// A peer told that it has `piece`.
    pub(super) fn note_copy(&mut self, link: LinkId, piece: PieceIndex, context: &mut Context<'_>) {
        let Some(dispersal) = &mut self.dispersal else { return };
        if dispersal.on_have(link, piece, context.now, context.rng) {
            // Those who had all that was left for them may have more now.
            self.show_all_more(context);
        }
    }
}

/// How long a peer may take nothing where a slot gives `rate` bytes a second, 0 if that is not known.
fn patience(rate: u64) -> Duration {
    PATIENCE_BYTES.checked_div(rate).map_or(PATIENCE, |seconds| PATIENCE.max(Duration::from_secs(seconds)))
}
