//! Passing on single blocks of pieces that are not whole yet: those that are what their leaf hashes say.

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};

use super::super::context::Context;
use super::super::event::{LinkId, Offence, Output, PeerMessage, Proof};
use super::super::parts::News;
use super::super::peer::Peer;
use super::Torrent;

/// Smaller pieces are passed on soon enough as a whole.
const BLOCKS_MIN: u32 = 8;
/// Others hear of a piece as often as this while it comes, and of so many blocks at once at least: what is said has
/// to be little beside the content.
const TIMES_TOLD: u32 = 8;
const GROUP_MIN: u32 = 4;

impl Torrent {
    /// Asks whoever is asked for blocks of `piece` for its leaf hashes, too, if somebody else is there who would take
    /// single blocks of us.
    pub(super) fn seek_leaves(&mut self, link: LinkId, piece: PieceIndex, context: &mut Context<'_>) {
        let is_worth_it = self.proof == Proof::Blocks && self.layout.blocks_in(piece) >= BLOCKS_MIN;
        if !is_worth_it || !self.picker.partials().lacks_leaves(piece, context.now) {
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
        let group = (self.layout.blocks_in(piece) / TIMES_TOLD).max(GROUP_MIN);
        let Some(blocks) = self.picker.take_news(piece, group) else { return };
        for (&link, peer) in &self.links {
            let lacks_some = || peer.parts.get(piece).is_none_or(|known| blocks.any_not_in(known));
            if takes_blocks(peer, piece) && lacks_some() {
                context.send(link, PeerMessage::Blocks { piece, blocks: blocks.clone() });
            }
        }
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

/// Whether single blocks of `piece` are of use to a peer.
fn takes_blocks(peer: &Peer, piece: PieceIndex) -> bool {
    peer.traits.blocks && !peer.has.get(piece) && !peer.traits.upload_only
}
