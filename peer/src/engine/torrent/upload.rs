//! Answering the requests of others.

use std::time::Duration;

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::moment::Moment;

use super::super::context::Context;
use super::super::event::{LinkId, Offence, Output, PeerMessage};
use super::super::timers::TimerName;
use super::super::uploads::Grant;
use super::Torrent;

/// Refusals that one remote may provoke cost this much of its allowance, against 1 for a harmless message.
const OVERFLOW_COST: u32 = 4;
/// Nobody waits for a peer that has taken nothing of what it was given for this long.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(1);

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
        let now = context.now;
        let is_for_others = peer.traits.fast
            && self.dispersal.as_ref().is_some_and(|dispersal| !dispersal.allows(link, block.piece, now));
        if let Some(dispersal) = self.dispersal.as_mut().filter(|_| is_for_others) {
            dispersal.on_refused(link, block.piece, context.now);
        }
        let is_here = self.verified.get(block.piece) || self.picker.is_good(block);
        let granted = if peer.we_choke || is_for_others || !is_here {
            None
        } else {
            Some(peer.uploads.grant(block, context.config.request_queue))
        };
        let cost = match granted {
            Some(Grant::Queued) => {
                peer.turn.on_request(context.now);
                self.promise(link, block.piece, context);
                return self.hand_out(link, context);
            }
            Some(Grant::Full) => OVERFLOW_COST,
            Some(Grant::AlreadyQueued) | None => 1,
        };
        if peer.we_choke {
            peer.turn.on_late_request(context.now);
        }
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
        peer.uploads.on_done(block, context.now);
        peer.earn();
        peer.up.add(context.now, block.length);
        let is_dry = !peer.uploads.is_busy();
        self.up.add(context.now, block.length);
        if context.choker.on_sent(context.now, block.length, context.config) {
            context.timers.set_no_later(TimerName::FillSlots, context.choker.fill_at(context.now));
        }
        if is_dry {
            self.on_dry(link, context);
        }
        self.hand_out(link, context);
    }

    /// All that a peer asked for is sent.
    fn on_dry(&mut self, link: LinkId, context: &mut Context<'_>) {
        let usual = self.usual_turn(context);
        let Some(peer) = self.links.get_mut(&link) else { return };
        peer.turn.on_dry(context.now);
        context.timers.set_no_later(TimerName::Turns, peer.turn.ends_at(false, usual));
        if let Some(dispersal) = &mut self.dispersal {
            dispersal.on_dry(link, peer.up.rate(context.now));
        }
    }

    /// The driver could not read a block.
    pub fn on_block_unreadable(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        peer.uploads.on_done(block, context.now);
        if peer.traits.fast {
            context.send(link, PeerMessage::Reject(block));
        }
        self.hand_out(link, context);
    }

    /// Gives the driver as many blocks for a link as it may hold, until its turn is over. It keeps its slot
    /// until all is sent, or those who get something at a time would be more than there are slots.
    fn hand_out(&mut self, link: LinkId, context: &mut Context<'_>) {
        loop {
            let is_over = self.is_turn_over(link, context);
            let is_for_debtor = self.links.get(&link).is_some_and(|peer| self.owes(peer));
            let is_contended = is_for_debtor && self.is_somebody_square_served(context.now);
            let Some(peer) = self.links.get_mut(&link) else { return };
            if is_over {
                if !peer.uploads.has_handed() {
                    self.choke(link, context);
                }
                return;
            }
            if is_contended && !self.ration.allows() {
                self.held.insert(link);
                context.timers.set_no_later(TimerName::Turns, context.now + STUCK_AFTER);
                return;
            }
            let window_bytes = peer.upload_window_bytes(context.now, context.config);
            let Some(block) = peer.uploads.hand_out(window_bytes, context.now) else { break };
            peer.turn.on_handed(block);
            match (is_for_debtor, is_contended) {
                (false, _) => self.ration.earn(block.length),
                (true, true) => self.ration.spend(block.length),
                (true, false) => {}
            }
            context.outputs.push_back(Output::SendBlock { link, block });
            if let Some(dispersal) = &mut self.dispersal {
                dispersal.on_handed(link, block, context.now);
            }
        }
        self.show_more(link, context);
    }

    /// Goes on with those who had to let others go first, if they need not any more.
    pub fn serve_held(&mut self, context: &mut Context<'_>) {
        if self.held.is_empty() {
            return;
        }
        let is_free = self.ration.allows() || !self.is_somebody_square_served(context.now);
        let may_go = |link: &LinkId| is_free || self.links.get(link).is_none_or(|peer| !self.owes(peer));
        for link in self.held.iter().copied().filter(may_go).collect::<Vec<_>>() {
            self.held.remove(&link);
            self.hand_out(link, context);
        }
    }

    /// Whether blocks for somebody who does not owe are in the driver's hands, and are being taken.
    fn is_somebody_square_served(&self, now: Moment) -> bool {
        self.links.values().any(|peer| peer.uploads.is_moving(now, STUCK_AFTER) && !self.owes(peer))
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
}
