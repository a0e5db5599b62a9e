//! What a peer's messages lead to.

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};

use super::super::context::Context;
use super::super::event::{DisconnectReason, LinkId, Offence, PeerMessage};
use super::super::timers::TimerName;
use super::{Aim, REQUESTS_INTERVAL, Torrent};

/// What an unchoke costs of a peer's allowance, since each makes us send requests.
const UNCHOKE_COST: u32 = 4;

impl Torrent {
    /// A message came.
    pub fn on_message(&mut self, link: LinkId, message: PeerMessage, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        peer.heard_at = context.now;
        let is_first = !std::mem::replace(&mut peer.opened, true);
        if is_fast(&message) && !peer.traits.fast {
            return self.offend(link, Offence::FastNotAgreed, context);
        }
        if piece_of(&message).is_some_and(|piece| piece.0 >= self.layout.piece_count()) {
            return self.offend(link, Offence::PieceOutOfRange, context);
        }
        if !peer.afford(context.now, cost(&message)) {
            return self.offend(link, Offence::MessageFlood, context);
        }
        match message {
            PeerMessage::Bitfield(_) | PeerMessage::HaveAll | PeerMessage::HaveNone if !is_first => {
                self.offend(link, Offence::LateBitfield, context);
            }
            PeerMessage::Bitfield(has) if has.len() == self.layout.piece_count() => {
                self.on_bitfield(link, has, context);
            }
            PeerMessage::Bitfield(_) => self.offend(link, Offence::PieceOutOfRange, context),
            PeerMessage::HaveAll => {
                self.on_bitfield(link, Bitfield::full(self.layout.piece_count()), context);
            }
            PeerMessage::HaveNone => {}
            PeerMessage::Have(piece) => self.on_have(link, piece, context),
            PeerMessage::Choke => self.on_choke(link, context),
            PeerMessage::Unchoke => {
                peer.on_unchoked();
                self.refill(link, context);
            }
            PeerMessage::Interested => self.on_interested(link, context),
            PeerMessage::NotInterested => self.on_not_interested(link, context),
            PeerMessage::Request(block) => self.on_request(link, block, context),
            PeerMessage::Cancel(block) => self.on_cancel(link, block, context),
            PeerMessage::Reject(block) => self.on_reject(link, block, context),
            PeerMessage::Suggest(piece) => peer.suggest(piece),
            PeerMessage::Blocks { piece, blocks } => self.on_blocks(link, piece, blocks, context),
            PeerMessage::AllowedFast(piece) => {
                peer.allow(piece);
                self.refill(link, context);
            }
        }
    }

    fn on_bitfield(&mut self, link: LinkId, has: Bitfield, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if has.is_full() {
            peer.came_with_all = true;
            self.picker.on_have_all();
        } else {
            has.iter_ones().for_each(|piece| self.picker.on_have(piece, context.rng));
        }
        if self.aim == Aim::Fetch {
            let wanted = |piece: &PieceIndex| self.picker.wants(*piece) && !self.verified.get(*piece);
            // No more than there are pieces.
            peer.wanted = has.iter_ones().filter(wanted).count() as u32;
        }
        // Who claims everything takes nothing, and proves nothing: as if it were not there.
        if let Some(dispersal) = self.dispersal.as_mut().filter(|_| has.is_full()) {
            dispersal.forget(link, context.rng);
        }
        let shown = (self.dispersal.is_some() && !has.is_full()).then(|| has.clone());
        peer.has = has;
        if peer.wanted > 0 {
            peer.we_want = true;
            context.send(link, PeerMessage::Interested);
        }
        for piece in shown.iter().flat_map(Bitfield::iter_ones) {
            self.note_copy(link, piece, context);
        }
        self.lure(link, context);
        self.drop_if_useless(link, context);
    }

    fn on_have(&mut self, link: LinkId, piece: PieceIndex, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if !peer.has.set(piece) {
            if !peer.afford(context.now, 1) {
                return self.offend(link, Offence::MessageFlood, context);
            }
            // Who says so again takes back that it refused.
            if peer.refused.remove(&piece).is_some() {
                self.refill(link, context);
            }
            return;
        }
        peer.parts.remove(piece);
        self.picker.on_have(piece, context.rng);
        self.note_copy(link, piece, context);
        let is_missed = self.misses(piece);
        let Some(peer) = self.links.get_mut(&link) else { return };
        if is_missed {
            peer.wanted += 1;
            if !peer.we_want {
                self.resting.insert(link);
                self.rouse_if_useful(link, &[piece].into(), context);
            } else if self.hungry.contains(&link) {
                self.refill(link, context);
            }
        }
        self.show_more(link, context);
        self.drop_if_useless(link, context);
    }

    fn on_choke(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        peer.chokes_us = true;
        self.freed |= self.picker.disown(peer.key, context.now);
        self.hungry.remove(&link);
        // With BEP 6 every request is answered one by one; without, all are dropped in silence.
        if !peer.traits.fast {
            let dropped = peer.requests.take_all(context.ahead);
            self.withdraw(link, dropped);
        }
    }

    fn on_reject(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if peer.cancelled.on_answer(block) {
            return self.refill(link, context);
        }
        let was_asked = self.release(link, block, context);
        let Some(peer) = self.links.get_mut(&link) else { return };
        if was_asked && peer.chokes_us {
            return;
        }
        if !peer.afford(context.now, 1) {
            return self.offend(link, Offence::MessageFlood, context);
        }
        if was_asked {
            context.timers.set_no_later(TimerName::Requests, context.now + REQUESTS_INTERVAL);
            peer.refuse(block.piece, context.now);
        }
        self.refill(link, context);
    }

    /// Ends a link when the other end has everything and we have what we want.
    fn drop_if_useless(&mut self, link: LinkId, context: &mut Context<'_>) {
        let is_full = self.links.get(&link).is_some_and(|peer| peer.has.is_full());
        if is_full && self.is_finished() {
            self.drop_link(link, DisconnectReason::NothingToTrade, context);
        }
    }
}

/// Whether a message belongs to BEP 6.
fn is_fast(message: &PeerMessage) -> bool {
    matches!(
        message,
        PeerMessage::HaveAll
            | PeerMessage::HaveNone
            | PeerMessage::Reject(_)
            | PeerMessage::Suggest(_)
            | PeerMessage::AllowedFast(_)
    )
}

/// The piece a message is about, where only its number can be wrong.
fn piece_of(message: &PeerMessage) -> Option<PieceIndex> {
    match message {
        PeerMessage::Have(piece)
        | PeerMessage::Suggest(piece)
        | PeerMessage::AllowedFast(piece)
        | PeerMessage::Blocks { piece, .. } => Some(*piece),
        PeerMessage::Cancel(block) | PeerMessage::Reject(block) => Some(block.piece),
        _ => None,
    }
}

/// What a message costs of its sender's allowance whatever it leads to. Requests, news and their answers
/// are free until they turn out to be of no use.
fn cost(message: &PeerMessage) -> u32 {
    match message {
        PeerMessage::Have(_)
        | PeerMessage::Blocks { .. }
        | PeerMessage::Request(_)
        | PeerMessage::Reject(_) => 0,
        PeerMessage::Unchoke => UNCHOKE_COST,
        _ => 1,
    }
}
