//! Passing on single blocks of pieces that are not whole yet: those that are what their leaf hashes say.

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;

use super::super::context::Context;
use super::super::event::{LinkId, Offence, Output, PeerMessage, Proof};
use super::super::parts::{BLOCKS_MIN, News};
use super::super::peer::Peer;
use super::Torrent;

/// Others hear of a piece as often as this while it comes, and of so many blocks at once at least: what is said has
/// to be little beside the content.
const TIMES_TOLD: u32 = 16;
const GROUP_MIN: u32 = 4;
/// A request that asks for more than others hear of at once takes no longer than this part of a second: nothing of it
/// is passed on before all of it is there.
const REQUESTS_PER_SECOND: u64 = 10;

impl Torrent {
    /// Asks whoever is asked for blocks of `piece` for its leaf hashes, too, if somebody else is there who would take
    /// single blocks of us.
    pub(super) fn seek_leaves(&mut self, link: LinkId, piece: PieceIndex, context: &mut Context<'_>) {
        if !self.has_parts(piece) || !self.picker.partials().lacks_leaves(piece, context.now) {
            return;
        }
        let mut others = self.links.iter().filter(|&(&other, _)| other != link);
        if others.any(|(_, peer)| takes_blocks(peer, piece)) {
            self.picker.on_leaves_asked(piece, link, context.now);
            context.outputs.push_back(Output::FetchLeaves { link, piece });
        }
    }

    /// The leaf hashes of a piece that is begun are known.
    pub fn on_leaves(&mut self, piece: PieceIndex, context: &mut Context<'_>) {
        for block in self.picker.on_leaves(piece) {
            self.check_blocks(block, context);
        }
    }

    /// A peer gives no leaf hashes of `piece`: whoever is asked for more of it is asked for those, too.
    pub fn on_no_leaves(&mut self, link: LinkId, piece: PieceIndex) {
        self.picker.on_no_leaves(piece, link);
    }

    /// Orders to hold blocks that came against their leaf hashes.
    pub(super) fn check_blocks(&mut self, block: BlockRef, context: &mut Context<'_>) {
        let order = self.block_checks;
        self.block_checks = self.block_checks.wrapping_add(1);
        self.picker.on_check_ordered(block, order);
        context.outputs.push_back(Output::CheckBlocks { torrent: self.id, block, order });
    }

    /// Blocks were held against their leaf hashes: those in `bad` are not what they should be, and the others may be
    /// passed on.
    pub fn on_blocks_checked(
        &mut self,
        block: BlockRef,
        order: u32,
        bad: &[BlockRef],
        context: &mut Context<'_>,
    ) {
        let piece = block.piece;
        for block in self.picker.checked_by(block, order) {
            let end = block.begin + block.length;
            let is_here = |bad: &&BlockRef| (block.begin..end).contains(&bad.begin);
            let bad: Vec<BlockRef> = bad.iter().filter(is_here).copied().collect();
            self.picker.on_blocks_good(block, &bad);
            let cleared = self.weigh(block, &bad, context);
            self.acquit(&cleared, context);
        }
        // It was found bad before this was known.
        if !self.picker.partials().are_blocks_being_checked(piece) && self.picker.recheck(piece) {
            context.outputs.push_back(Output::CheckPiece { torrent: self.id, piece });
        }
        self.tell_of_blocks(piece, context);
    }

    fn tell_of_blocks(&mut self, piece: PieceIndex, context: &mut Context<'_>) {
        let Some(blocks) = self.picker.take_news(piece, self.group()) else { return };
        for (&link, peer) in &mut self.links {
            // Who waits for a slot hears when it has one, and who wants nothing, that there is something.
            let is_due = match peer.wants_us {
                true => !peer.we_choke,
                false => !peer.told.contains_key(&piece),
            };
            if is_due {
                tell(link, peer, piece, &blocks, context);
            }
        }
    }

    /// Tells a peer that may take from us from now on what there is of pieces that are not whole.
    pub(super) fn tell_of_parts(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link).filter(|peer| peer.traits.blocks) else { return };
        for (piece, blocks) in self.picker.partials().good_blocks() {
            tell(link, peer, piece, &blocks, context);
        }
    }

    /// Whether single blocks of `piece` can be checked, and are worth it.
    fn has_parts(&self, piece: PieceIndex) -> bool {
        self.proof == Proof::Blocks && self.layout.blocks_in(piece) >= BLOCKS_MIN
    }

    /// Blocks of which others hear at once.
    fn group(&self) -> u32 {
        (self.layout.piece_length() / BLOCK_LENGTH / TIMES_TOLD).max(GROUP_MIN)
    }

    /// How many blocks to ask for at once of a link that gives `rate` bytes a second.
    pub(super) fn request_blocks_max(&self, rate: u64) -> u32 {
        let is_passed_on = self.proof == Proof::Blocks
            && self.layout.piece_length() >= BLOCKS_MIN * BLOCK_LENGTH
            && self.links.values().any(|peer| peer.traits.blocks && !peer.traits.upload_only);
        if !is_passed_on {
            return u32::MAX;
        }
        let soon = rate / REQUESTS_PER_SECOND / u64::from(BLOCK_LENGTH);
        u32::try_from(soon).unwrap_or(u32::MAX).max(self.group())
    }

    /// Whether a peer may soon have more of a piece that we lack blocks of.
    pub(super) fn has_more_soon(&self, peer: &Peer) -> bool {
        let is_begun = |piece| self.picker.partials().missing(piece).is_some_and(|missing| missing > 0);
        peer.parts.pieces().any(is_begun)
    }

    /// A peer has some blocks of a piece of which it has not all.
    pub(super) fn on_blocks(
        &mut self,
        link: LinkId,
        piece: PieceIndex,
        blocks: Bitfield,
        context: &mut Context<'_>,
    ) {
        let is_missed = self.misses(piece);
        let Some(peer) = self.links.get_mut(&link) else { return };
        if blocks.len() != self.layout.blocks_in(piece) {
            return self.offend(link, Offence::PieceOutOfRange, context);
        }
        // What we have told of it may be on its way to the peer.
        if peer.has.get(piece) || !is_missed || !peer.traits.blocks {
            return;
        }
        match peer.parts.add(piece, blocks) {
            News::Some => {}
            News::None if !peer.afford(context.now, 1) => {
                return self.offend(link, Offence::MessageFlood, context);
            }
            News::None | News::Forgotten => return,
        }
        if !peer.we_want {
            self.resting.insert(link);
            self.rouse_if_useful(link, &[piece].into(), context);
        } else if self.hungry.contains(&link) {
            self.refill(link, context);
        }
    }
}

/// Tells a peer that `blocks` of `piece` are verified, unless it knows that or has them all.
fn tell(link: LinkId, peer: &mut Peer, piece: PieceIndex, blocks: &Bitfield, context: &mut Context<'_>) {
    let count = blocks.count_ones();
    let lacks_some = peer.parts.get(piece).is_none_or(|known| blocks.any_not_in(known));
    if takes_blocks(peer, piece) && lacks_some && peer.told.get(&piece).is_none_or(|&told| told < count) {
        peer.told.insert(piece, count);
        context.send(link, PeerMessage::Blocks { piece, blocks: blocks.clone() });
    }
}

/// Whether single blocks of `piece` are of use to a peer.
fn takes_blocks(peer: &Peer, piece: PieceIndex) -> bool {
    peer.traits.blocks && !peer.has.get(piece) && !peer.traits.upload_only
}
