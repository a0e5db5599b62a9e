//! Asking for blocks and taking them.

use std::collections::BTreeSet;
use std::time::Duration;

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use super::super::blame::Trial;
use super::super::context::Context;
use super::super::event::{Aim, DisconnectReason, LinkId, Offence, Output, PeerMessage};
use super::super::peer::Peer;
use super::super::picker::Asker;
use super::super::reputation::Reputation;
use super::super::timers::TimerName;
use super::{REQUESTS_INTERVAL, Torrent, news};

/// What is in flight over all links may take this long to come.
const DOWNLINK_SECONDS: u64 = 3;
/// The least that may be in flight takes this long at the highest rate lately, within the configured bounds.
const FLOOR_SECONDS: u64 = 8;
/// The rate that was reached is forgotten by one in so many with every block.
pub(super) const FADE: u64 = 1024;
/// Asking a second peer must promise to be at least twice as fast, and by this much.
const RESCUE_MARGIN: Duration = Duration::from_millis(500);
/// Between two searches of one link for something to ask although others were asked.
const RESCUE_INTERVAL: Duration = Duration::from_millis(100);

impl Torrent {
    /// Requests as much from a link as its pipeline takes.
    pub(super) fn refill(&mut self, link: LinkId, context: &mut Context<'_>) {
        let now = context.now;
        let Some(peer) = self.links.get(&link) else { return };
        let is_closed = (peer.chokes_us && peer.allowed.is_empty()) || peer.trial == Trial::Awaited;
        if self.aim == Aim::Serve || !peer.is_useful() || is_closed {
            self.hungry.remove(&link);
            return;
        }
        if peer.spared_until.is_some_and(|until| until > now) {
            self.hungry.insert(link);
            return;
        }
        let target = peer.pipeline.target(now, self.down.rate(now), context.config);
        let share = context.ahead.share(context.config.requested_bytes);
        let agreed = peer.traits.request_length.min(context.config.request_length);
        let (target, max_blocks) = match peer.trial {
            Trial::First => (u64::from(BLOCK_LENGTH), 1),
            _ => {
                let longest = self.request_blocks_max(peer.pipeline.rate(now));
                (target, peer.pipeline.request_blocks(target.min(share), agreed).min(longest))
            }
        };
        // It is summed over all links, and many a block leaves no room for a request on its own.
        let mut known_room = None;
        loop {
            let Some(peer) = self.links.get(&link) else { return };
            let share = context.ahead.share(context.config.requested_bytes);
            let is_idle = peer.requests.is_empty();
            if !has_room(peer, target.min(share), max_blocks) {
                self.hungry.remove(&link);
                return;
            }
            let room = known_room.unwrap_or_else(|| self.downlink_room(context));
            if room == 0 && !is_idle {
                self.hungry.remove(&link);
                return;
            }
            let asker = asker(link, peer, max_blocks, context.reputation);
            let picked = self.picker.pick(&asker, now, context.rng);
            let picked = picked.or_else(|| self.rescue(link, max_blocks, context));
            let picked = picked.or_else(|| self.begin_beyond_limit(link, max_blocks, context));
            let Some(block) = picked else {
                self.hungry.insert(link);
                self.rest(link, context);
                return;
            };
            self.request(link, block, context);
            known_room = Some(room.saturating_sub(u64::from(block.length)));
        }
    }

    /// How much more may be in flight over all links: what waits in front of a slow downlink only makes
    /// those who sent it look slow.
    fn downlink_room(&self, context: &Context<'_>) -> u64 {
        let floor = &context.config.in_flight_floor_bytes;
        let floor = (self.down_reached.rate() * FLOOR_SECONDS).max(*floor.start()).min(*floor.end());
        let bound = (self.down.rate(context.now) * DOWNLINK_SECONDS).max(floor);
        bound.saturating_sub(self.in_flight())
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.links.values().map(|peer| peer.requests.bytes()).sum()
    }

    /// A request that others were asked for, for a link that has nothing else to do. One at a time, and no
    /// new search soon after one in vain: while everything is asked for, every block that comes leads here.
    fn rescue(&mut self, link: LinkId, max_blocks: u32, context: &mut Context<'_>) -> Option<BlockRef> {
        let now = context.now;
        let peer = self.links.get_mut(&link)?;
        let is_idle = peer.requests.is_empty() && !peer.pipeline.is_snubbed();
        if !is_idle || peer.rescue_at > now || !self.picker.may_rescue() {
            return None;
        }
        peer.rescue_at = now + RESCUE_INTERVAL;
        let peer = self.links.get(&link)?;
        let own = peer.pipeline.drain_time(now, u64::from(max_blocks * BLOCK_LENGTH));
        let busy = self.links.iter().filter(|(_, peer)| !peer.requests.is_empty());
        let hopeless: BTreeSet<LinkId> =
            busy.filter(|(_, peer)| is_hopeless(peer, now, own)).map(|(&link, _)| link).collect();
        if hopeless.is_empty() {
            return None;
        }
        let asker = asker(link, peer, max_blocks, context.reputation);
        let rescued = self.picker.rescue(&asker, |holder| hopeless.contains(&holder))?;
        if let Some(peer) = self.links.get_mut(&link) {
            peer.rescue_at = now;
        }
        Some(rescued)
    }

    /// A request of a new piece, for a link that has nothing else to do.
    fn begin_beyond_limit(
        &mut self,
        link: LinkId,
        max_blocks: u32,
        context: &mut Context<'_>,
    ) -> Option<BlockRef> {
        let peer = self.links.get(&link).filter(|peer| peer.requests.is_empty())?;
        let asker = asker(link, peer, max_blocks, context.reputation);
        self.picker.pick_beyond_limit(&asker, context.now, context.rng)
    }

    /// Lets a peer of which there is nothing to ask give its slot to somebody else, unless there may soon be.
    fn rest(&mut self, link: LinkId, context: &mut Context<'_>) {
        let has_more_soon = self.links.get(&link).is_some_and(|peer| self.has_more_soon(peer));
        let may_soon = self.may_double() || has_more_soon;
        let Some(peer) = self.links.get_mut(&link) else { return };
        if !peer.requests.is_empty() || peer.chokes_us || may_soon || peer.is_held_back() {
            return;
        }
        if std::mem::take(&mut peer.we_want) {
            context.send(link, PeerMessage::NotInterested);
        }
        self.hungry.remove(&link);
        self.resting.insert(link);
    }

    /// Tells a peer that is not asked for anything that there is something to ask.
    pub(super) fn rouse(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if self.resting.remove(&link) {
            peer.we_want = true;
            context.send(link, PeerMessage::Interested);
            self.refill(link, context);
        }
    }

    fn request(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if peer.requests.is_empty() {
            peer.pipeline.on_first_request(context.now);
        }
        peer.current = Some(block.piece);
        peer.requests.insert(block, context.now, context.ahead);
        context.timers.set_no_later(TimerName::Requests, context.now + REQUESTS_INTERVAL);
        // One packet takes both.
        news::tell_all(link, peer, context);
        context.send(link, PeerMessage::Request(block));
        self.seek_leaves(link, block.piece, context);
    }

    /// Offers what became free to every link that had nothing to ask for.
    pub fn feed_hungry(&mut self, context: &mut Context<'_>) {
        if !std::mem::take(&mut self.freed) {
            return;
        }
        let hungry: Vec<LinkId> = self.hungry.iter().copied().collect();
        for link in hungry {
            self.refill(link, context);
        }
        self.rouse_resting(context);
    }

    /// Tells those of which nothing was left to ask that there is something again, whether or not they choke us.
    fn rouse_resting(&mut self, context: &mut Context<'_>) {
        let returned = self.picker.take_returned();
        for link in self.resting.iter().copied().collect::<Vec<_>>() {
            self.rouse_if_useful(link, &returned, context);
        }
    }

    /// Tells a peer of which nothing was left to ask if there is something again: pieces that are begun, or those
    /// in `returned`.
    pub(super) fn rouse_if_useful(
        &mut self,
        link: LinkId,
        returned: &BTreeSet<PieceIndex>,
        context: &mut Context<'_>,
    ) {
        let Some(peer) = self.links.get(&link) else { return };
        let asker = Asker { only: None, ..asker(link, peer, 1, context.reputation) };
        if self.may_double() || self.picker.has_something_for(&asker, returned, context.now) {
            self.rouse(link, context);
        }
    }

    /// Whether a link that has nothing else to do may be asked for what others were asked for, or may soon, or
    /// nobody is asked for anything, so that nothing would wake us.
    fn may_double(&self) -> bool {
        let is_nobody_asked = || self.links.values().all(|peer| peer.requests.is_empty());
        self.picker.may_rescue() || self.picker.is_at_limit() || is_nobody_asked()
    }

    /// The bytes of a block came.
    pub fn on_block(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) {
        let now = context.now;
        let Some(peer) = self.links.get_mut(&link) else { return };
        if !self.picker.is_ours(block) {
            return;
        }
        peer.heard_at = now;
        peer.cancelled.on_answer(block);
        let request = peer.requests.remove(block, context.ahead);
        if request.is_some() {
            peer.on_given();
        }
        let delay = request.map_or(Duration::MAX, |request| now.since(request.sent_at));
        // One block alone says how long the way is, and not how fast the link.
        let measured = if peer.trial == Trial::First { 0 } else { block.length };
        peer.pipeline.on_block(now, measured, delay, request.is_some_and(|request| request.alone));
        peer.down.add(now, block.length);
        self.down.add(now, block.length);
        self.down_reached.note(self.down.rate(now));
        let key = peer.key;
        let arrival = self.picker.on_block(block, link, key, now);
        let wasted = u64::from(arrival.duplicate * BLOCK_LENGTH).min(u64::from(block.length));
        self.wasted += wasted;
        if let Some(peer) = self.links.get_mut(&link) {
            peer.wasted_bytes += wasted;
        }
        self.try_giver(link, block, &arrival, context);
        if arrival.fresh > 0 && self.picker.partials().knows_leaves(block.piece) {
            self.check_blocks(block, context);
        }
        for &other in &arrival.others {
            self.cancel_superfluous(other, block, context);
        }
        if arrival.completed {
            context.outputs.push_back(Output::CheckPiece { torrent: self.id, piece: block.piece });
        }
        self.refill(link, context);
        for other in arrival.others {
            self.refill(other, context);
        }
    }

    /// Cancels what `link` was asked for within `block`, if all of it is there now.
    pub(super) fn cancel_superfluous(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        let asked: BTreeSet<BlockRef> =
            block.blocks().filter_map(|one| peer.requests.covering(one.piece, one.begin)).collect();
        for request in asked {
            if !self.picker.is_superfluous(request) {
                continue;
            }
            self.picker.on_withdrawn(request, link);
            cancel(link, peer, request, context);
        }
    }

    /// Cancels what these links were asked for of a piece that was checked.
    pub(super) fn cancel_piece(
        &mut self,
        asked: BTreeSet<LinkId>,
        piece: PieceIndex,
        context: &mut Context<'_>,
    ) {
        for link in asked {
            let Some(peer) = self.links.get_mut(&link) else { continue };
            for block in peer.requests.of_piece(piece) {
                cancel(link, peer, block, context);
            }
            self.refill(link, context);
        }
    }

    /// Everything that `link` was asked for will not come.
    pub(super) fn release_all(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        for block in peer.requests.take_all(context.ahead) {
            self.freed |= self.picker.on_refused(block, link, context.rng);
        }
    }

    /// One request will not be answered. Whether there was such a request.
    pub(super) fn release(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) -> bool {
        let Some(peer) = self.links.get_mut(&link) else { return false };
        let was_asked = peer.requests.remove(block, context.ahead).is_some();
        if was_asked {
            self.freed |= self.picker.on_refused(block, link, context.rng);
        }
        was_asked
    }

    /// Takes note that these are in flight no more. Their blocks may come all the same.
    pub(super) fn withdraw(&mut self, link: LinkId, blocks: Vec<BlockRef>) {
        for block in blocks {
            self.freed |= self.picker.on_withdrawn(block, link);
        }
    }

    /// Ends a link for what its peer did.
    pub(super) fn offend(&mut self, link: LinkId, offence: Offence, context: &mut Context<'_>) {
        if let Some(peer) = self.links.get(&link) {
            context.reputation.on_offence(peer.key, offence, context.now);
        }
        self.drop_link(link, DisconnectReason::Offence(offence), context);
    }
}

/// Whether one more request fits. A pipeline is refilled by whole requests, so that they stay long.
fn has_room(peer: &Peer, target: u64, max_blocks: u32) -> bool {
    let length = u64::from(max_blocks) * u64::from(BLOCK_LENGTH);
    let fits = peer.requests.is_empty() || peer.requests.bytes() + length <= target;
    fits && peer.requests.len() < peer.traits.request_queue as usize
}

/// Takes a request in flight back.
pub(super) fn cancel(link: LinkId, peer: &mut Peer, block: BlockRef, context: &mut Context<'_>) {
    peer.requests.remove(block, context.ahead);
    peer.on_cancelled(block, context.now);
    context.timers.set_no_later(TimerName::Requests, context.now + REQUESTS_INTERVAL);
    context.send(link, PeerMessage::Cancel(block));
}

fn asker<'a>(link: LinkId, peer: &'a Peer, max_blocks: u32, reputation: &Reputation) -> Asker<'a> {
    Asker {
        link,
        peer: peer.key,
        has: &peer.has,
        parts: &peer.parts,
        only: peer.chokes_us.then_some(&peer.allowed),
        refused: &peer.refused,
        cancelled: &peer.cancelled,
        suggested: &peer.suggested,
        current: peer.current,
        suspect: reputation.is_suspect(peer.key),
        max_blocks,
    }
}

/// Whether what `holder` was asked for would come much later than in `own`.
fn is_hopeless(holder: &Peer, now: Moment, own: Duration) -> bool {
    let drain_time = holder.pipeline.drain_time(now, holder.requests.bytes());
    holder.chokes_us || drain_time > own * 2 + RESCUE_MARGIN
}
