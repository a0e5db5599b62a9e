//! Answering requests and giving out slots.

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::moment::Moment;

use super::super::choker::Contender;
use super::super::context::Context;
use super::super::event::{LinkId, Offence, Output, PeerMessage};
use super::super::timers::TimerName;
use super::super::uploads::Grant;
use super::{Aim, Torrent};

/// Refusals that one remote may provoke cost this much of its allowance, against 1 for a harmless message.
const OVERFLOW_COST: u32 = 4;

impl Torrent {
    /// A peer asks for a block.
    pub(super) fn on_request(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if block.piece.0 >= self.layout.piece_count() {
            return self.offend(link, Offence::PieceOutOfRange, context);
        }
        if !self.layout.contains(block) || block.length > context.config.request_length {
            return self.offend(link, Offence::BadRequest, context);
        }
        let is_for_others = peer.traits.fast
            && self.dispersal.as_ref().is_some_and(|dispersal| !dispersal.allows(link, block.piece));
        let granted = if peer.we_choke || is_for_others || !self.verified.get(block.piece) {
            None
        } else {
            Some(peer.uploads.grant(block, context.config.request_queue))
        };
        let cost = match granted {
            Some(Grant::Queued) => {
                self.promise(link, block.piece, context);
                return self.hand_out(link, context);
            }
            Some(Grant::Full) => OVERFLOW_COST,
            Some(Grant::AlreadyQueued) | None => 1,
        };
        if !peer.afford(context.now, cost) {
            return self.offend(link, Offence::RequestFlood, context);
        }
        if peer.traits.fast && granted != Some(Grant::AlreadyQueued) {
            context.send(link, PeerMessage::Reject(block));
        }
    }

    /// A peer takes a request back. If the driver holds the block already, it still goes out.
    pub(super) fn on_cancel(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if peer.uploads.cancel(block) && peer.traits.fast {
            context.send(link, PeerMessage::Reject(block));
        }
    }

    /// The driver handed a block to the transport.
    pub fn on_block_sent(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        peer.uploads.on_done(block);
        peer.up.add(context.now, block.length);
        self.up.add(context.now, block.length);
        let is_dry = !peer.uploads.is_busy();
        let rate = peer.up.rate(context.now);
        if let Some(dispersal) = self.dispersal.as_mut().filter(|_| is_dry) {
            dispersal.on_dry(link, rate);
        }
        self.hand_out(link, context);
    }

    /// The driver could not read a block.
    pub fn on_block_unreadable(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        peer.uploads.on_done(block);
        if peer.traits.fast {
            context.send(link, PeerMessage::Reject(block));
        }
        self.hand_out(link, context);
    }

    /// Gives the driver as many blocks for a link as it may hold.
    fn hand_out(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        let window_bytes = peer.upload_window_bytes(context.now, context.config);
        while let Some(block) = peer.uploads.hand_out(window_bytes) {
            context.outputs.push_back(Output::SendBlock { link, block });
            if let Some(dispersal) = &mut self.dispersal {
                dispersal.on_handed(link, block, context.now);
            }
        }
        self.show_more(link, context);
    }

    /// Nobody gets anything of `piece` any more.
    pub(super) fn refuse_waiting(&mut self, piece: PieceIndex, context: &mut Context<'_>) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.refuse_waiting_of(link, piece, context);
        }
    }

    /// One peer gets nothing of `piece` that is not in the driver's hands.
    pub(super) fn refuse_waiting_of(&mut self, link: LinkId, piece: PieceIndex, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        for block in peer.uploads.take_piece(piece) {
            if peer.traits.fast {
                context.send(link, PeerMessage::Reject(block));
            }
        }
    }

    /// A peer wants something from us.
    pub(super) fn on_interested(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if std::mem::replace(&mut peer.wants_us, true) {
            return;
        }
        peer.slot_since = context.now;
        self.interested += 1;
        if context.choker.has_room(context.config) {
            self.unchoke(link, context);
        }
        context.timers.set_no_later(TimerName::Rechoke, context.now + context.config.rechoke_interval);
    }

    /// A peer wants nothing from us any more: its slot goes to somebody else.
    pub(super) fn on_not_interested(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if std::mem::replace(&mut peer.wants_us, false) {
            self.interested -= 1;
            self.choke(link, context);
            self.lure(link, context);
        }
    }

    /// Lets a peer take from us.
    pub fn unchoke(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if std::mem::replace(&mut peer.we_choke, false) {
            peer.slot_since = context.now;
            context.choker.on_unchoked();
            context.send(link, PeerMessage::Unchoke);
            self.show_more(link, context);
        }
    }

    /// Lets a peer take nothing more; what the driver holds already still goes out.
    pub fn choke(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if std::mem::replace(&mut peer.we_choke, true) {
            return;
        }
        peer.slot_since = context.now;
        let waiting = peer.uploads.take_all();
        let fast = peer.traits.fast;
        if let Some(dispersal) = &mut self.dispersal {
            dispersal.on_choked(link, context.rng);
        }
        context.send(link, PeerMessage::Choke);
        for block in waiting.into_iter().filter(|_| fast) {
            context.send(link, PeerMessage::Reject(block));
        }
        self.on_slot_free(context);
    }

    /// A slot that was taken is free.
    pub(super) fn on_slot_free(&mut self, context: &mut Context<'_>) {
        context.choker.on_choked();
        context.timers.set_no_later(TimerName::FillSlots, context.choker.fill_at(context.now));
    }

    /// The links whose peers want something.
    pub fn contenders(&self, now: Moment) -> impl Iterator<Item = Contender> + '_ {
        let seeding = self.aim == Aim::Serve || self.is_complete();
        let wanting = self.links.iter().filter(|(_, peer)| peer.wants_us);
        wanting.map(move |(&link, peer)| Contender {
            torrent: self.id,
            link,
            seeding,
            unchoked: !peer.we_choke,
            since: peer.slot_since,
            given: peer.down.in_window(now),
            hoards: self.dispersal.as_ref().is_some_and(|dispersal| dispersal.is_kept_from(link, now)),
        })
    }
}
