//! Holding blocks against their leaf hashes: the first that a peer gives, and those of a bad piece.

use std::collections::BTreeSet;

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;

use super::super::blame::{Case, Charge, Trial};
use super::super::context::{Context, Outcast};
use super::super::event::{LinkId, Output, PeerKey, Proof};
use super::super::partial::Arrival;
use super::super::timers::TimerName;
use super::{REQUESTS_INTERVAL, Torrent};

impl Torrent {
    /// How a new peer begins.
    pub(super) fn first_trial(&self) -> Trial {
        match self.proof {
            Proof::Blocks => Trial::First,
            Proof::Pieces => Trial::Passed,
        }
    }

    /// A block came: if it is the giver's first, it has to be proved before the giver is asked for more: by the
    /// giver itself, so that an honest one depends on nobody, or by another, as a corrupter would keep silent.
    pub(super) fn try_giver(
        &mut self,
        link: LinkId,
        block: BlockRef,
        arrival: &Arrival,
        context: &mut Context<'_>,
    ) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if peer.trial != Trial::First || arrival.fresh == 0 {
            return;
        }
        peer.trial = Trial::Awaited;
        // Where a block is a piece, the check that is ordered says it all.
        if self.layout.blocks_in(block.piece) > 1 {
            let first = BlockRef { length: block.length.min(BLOCK_LENGTH), ..block };
            let case = Case::new(Charge::FirstOf(link), context.now);
            self.ask_witness(first, case, link, context);
            let other = self.cases.get(first).and_then(|case| self.witness(block.piece, case, context));
            if let Some(other) = other
                && let Some(case) = self.cases.take(first)
            {
                self.ask_witness(first, case, other, context);
            }
        }
    }

    /// Looks into a bad piece, if it is possible to say which of its blocks are bad. Until that is known it stays
    /// as it is: its good blocks need not be fetched again.
    pub(super) fn look_into(&mut self, piece: PieceIndex, context: &mut Context<'_>) -> bool {
        let whole = BlockRef { piece, begin: 0, length: self.layout.piece_size(piece) };
        if self.layout.blocks_in(piece) == 1 {
            return false;
        }
        if self.proof != Proof::Blocks || !self.cases.has_room() || self.cases.contains(whole) {
            return self.cases.contains(whole);
        }
        let case = Case::new(Charge::BadPiece, context.now);
        let Some(witness) = self.witness(piece, &case, context) else { return false };
        for other in self.picker.partials().asked(piece) {
            self.cancel_superfluous(other, whole, context);
            self.refill(other, context);
        }
        self.ask_witness(whole, case, witness, context);
        true
    }

    /// A peer gave leaf hashes, and `bad` are the blocks that are not what they say.
    pub fn on_judged(&mut self, block: BlockRef, bad: &[BlockRef], context: &mut Context<'_>) {
        let Some(case) = self.cases.take(block) else { return };
        let piece = block.piece;
        // What was found good before was changed by somebody here.
        let bad: Vec<BlockRef> = bad.iter().filter(|bad| !self.picker.is_good(**bad)).copied().collect();
        if case.charge == Charge::BadPiece && bad.is_empty() {
            // What made it bad has been overwritten since, and the check of what came instead will tell.
            if !self.picker.partials().is_being_checked(piece) {
                self.on_bad_whole(piece, context);
            }
            return;
        }
        let cleared = self.weigh(block, &bad, context);
        if let Charge::FirstOf(link) = case.charge {
            let trial = if bad.is_empty() { Trial::Passed } else { Trial::First };
            self.end_trial(link, trial, context);
        }
        self.acquit(&cleared, context);
    }

    /// `block` was held against its leaf hashes: whoever gave one of those in `bad` has to go. Who gave good ones.
    pub(super) fn weigh(
        &mut self,
        block: BlockRef,
        bad: &[BlockRef],
        context: &mut Context<'_>,
    ) -> BTreeSet<PeerKey> {
        let piece = block.piece;
        let contested = self.picker.partials().is_contested(piece);
        let links = &self.links;
        let may_be_anothers = |offset, giver| {
            links.values().filter(|peer| peer.key != giver).any(|peer| {
                // Without BEP 6 nobody says that what was cancelled will not come.
                (contested && !peer.traits.fast)
                    || peer.requests.covering(piece, offset).is_some()
                    || peer.cancelled.covers(piece, offset)
            })
        };
        let judgement = self.picker.on_judged(block, bad, may_be_anothers, context.now);
        // It may not be wanted any more since all of it came.
        self.drop_unwanted(piece, context);
        self.freed = true;
        context.timers.set_no_later(TimerName::Requests, context.now + REQUESTS_INTERVAL);
        judgement.culprits.into_iter().for_each(|culprit| self.convict(culprit, context));
        judgement.doubtful.into_iter().for_each(|peer| context.reputation.suspect(peer));
        judgement.cleared.iter().for_each(|&peer| context.reputation.clear(peer));
        judgement.cleared
    }

    /// A peer gave what is corrupt, for certain. It is asked for nothing more from this moment; other torrents
    /// follow.
    pub(super) fn convict(&mut self, culprit: PeerKey, context: &mut Context<'_>) {
        // To throw it out is to forget where it was.
        let holder = self.holder(culprit);
        self.cast_out(culprit, context);
        context.outcasts.push(Outcast { peer: culprit, holder });
    }

    /// A peer that was asked for leaf hashes will not give them.
    pub fn on_unjudged(&mut self, link: LinkId, block: BlockRef, context: &mut Context<'_>) {
        if let Some(case) = self.cases.take_from(block, link) {
            self.ask_another(block, case, context);
        }
    }

    /// A link is gone: it answers nothing, and its first block needs no proof any more.
    pub(super) fn on_witness_gone(&mut self, link: LinkId, context: &mut Context<'_>) {
        for (block, case) in self.cases.take_waiting_for(link) {
            self.ask_another(block, case, context);
        }
    }

    /// Goes on to others where an answer takes too long. Whether any is waited for.
    pub(super) fn look_for_late_answers(&mut self, context: &mut Context<'_>) -> bool {
        for (block, case) in self.cases.take_overdue(context.now) {
            self.ask_another(block, case, context);
        }
        !self.cases.is_empty()
    }

    /// Peers gave what is good.
    pub(super) fn acquit(&mut self, givers: &BTreeSet<PeerKey>, context: &mut Context<'_>) {
        for link in self.links_of(givers) {
            self.end_trial(link, Trial::Passed, context);
        }
    }

    /// A piece is done with, or fetched again from its beginning: nothing of it is to be judged any more.
    pub(super) fn close_cases(
        &mut self,
        piece: PieceIndex,
        givers: &BTreeSet<PeerKey>,
        context: &mut Context<'_>,
    ) {
        let mut links = self.links_of(givers);
        for (_, case) in self.cases.take_piece(piece) {
            if let Charge::FirstOf(link) = case.charge {
                links.insert(link);
            }
        }
        for link in links {
            self.end_trial(link, Trial::First, context);
        }
    }

    fn links_of(&self, peers: &BTreeSet<PeerKey>) -> BTreeSet<LinkId> {
        peers.iter().filter_map(|peer| self.by_peer.get(peer).copied()).collect()
    }

    /// A trial that is waited for ends; or a peer that has not come so far is known to be good.
    fn end_trial(&mut self, link: LinkId, trial: Trial, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        let was = peer.trial;
        if was == Trial::Awaited || (was == Trial::First && trial == Trial::Passed) {
            peer.trial = trial;
            self.refill(link, context);
        }
    }

    /// Asks the next peer for leaf hashes, or does without.
    fn ask_another(&mut self, block: BlockRef, case: Case, context: &mut Context<'_>) {
        let is_needed = match case.charge {
            Charge::FirstOf(link) => self.links.contains_key(&link),
            Charge::BadPiece => true,
        };
        if !is_needed {
            return;
        }
        if let Some(witness) = self.witness(block.piece, &case, context) {
            return self.ask_witness(block, case, witness, context);
        }
        match case.charge {
            // Nobody can say: it is no worse than a peer of a torrent without leaf hashes.
            Charge::FirstOf(link) => self.end_trial(link, Trial::Passed, context),
            Charge::BadPiece => self.on_bad_whole(block.piece, context),
        }
    }

    fn ask_witness(&mut self, block: BlockRef, case: Case, link: LinkId, context: &mut Context<'_>) {
        let queue =
            self.links.get(&link).map(|peer| peer.pipeline.drain_time(context.now, peer.requests.bytes()));
        self.cases.ask(block, case, link, context.now, queue.unwrap_or_default());
        context.outputs.push_back(Output::Judge { link, block });
        context.timers.set_no_later(TimerName::Requests, context.now + REQUESTS_INTERVAL);
    }

    /// Somebody who has `piece` and was not asked: one who gave nothing of it, if there is one.
    fn witness(&self, piece: PieceIndex, case: &Case, context: &mut Context<'_>) -> Option<LinkId> {
        if !case.may_ask() {
            return None;
        }
        let gave = self.picker.partials().gave(piece);
        let mut witnesses = (Vec::new(), Vec::new());
        for (&link, peer) in self.links.iter().filter(|(link, _)| !case.asked.contains(link)) {
            // A first seed does not show all it has.
            if !peer.has.get(piece) && !peer.traits.upload_only {
                continue;
            }
            match gave.contains(&peer.key) || context.reputation.is_suspect(peer.key) {
                false => witnesses.0.push(link),
                true => witnesses.1.push(link),
            }
        }
        let best = if witnesses.0.is_empty() { witnesses.1 } else { witnesses.0 };
        best.get(context.rng.index(best.len())).copied()
    }
}
