//! Wanting something else of a torrent than before.

use std::collections::BTreeSet;

use samara_proto::layout::PieceIndex;

use super::super::context::Context;
use super::super::event::{Aim, LinkId, Output, PeerMessage};
use super::super::selection::Selection;
use super::Torrent;

impl Torrent {
    /// Whether `piece` is to be fetched: wanted, and not here.
    pub(super) fn misses(&self, piece: PieceIndex) -> bool {
        self.aim == Aim::Fetch && self.picker.wants(piece) && !self.verified.get(piece)
    }

    /// Something else is wanted from now on. What is not wanted any more is not asked for, and what came of it
    /// is forgotten unless all of it did.
    pub fn select(&mut self, selection: &Selection, context: &mut Context<'_>) {
        if self.aim == Aim::Serve {
            return;
        }
        let was_finished = self.is_finished();
        let dropped = self.picker.select(selection, &self.verified, context.rng);
        let missing = self.verified.iter_zeros().filter(|&piece| self.picker.wants(piece));
        // No more than there are pieces.
        self.missing = missing.count() as u32;
        self.want_anew(context);
        for (piece, asked) in dropped {
            self.drop_piece(piece, asked, context);
        }
        self.freed = true;
        match (was_finished, self.is_finished()) {
            (false, true) => self.finish(context),
            (true, false) => self.connections.on_need(context.now),
            _ => {}
        }
    }

    /// Forgets what was begun of a piece that is not wanted any more.
    pub(super) fn drop_unwanted(&mut self, piece: PieceIndex, context: &mut Context<'_>) {
        if let Some(asked) = self.picker.drop_unwanted(piece) {
            self.drop_piece(piece, asked, context);
        }
    }

    fn drop_piece(&mut self, piece: PieceIndex, asked: BTreeSet<LinkId>, context: &mut Context<'_>) {
        self.close_cases(piece, &BTreeSet::new(), context);
        self.cancel_piece(asked, piece, context);
    }

    /// Everything that is wanted is here.
    pub(super) fn finish(&mut self, context: &mut Context<'_>) {
        self.tell_news(context);
        context.outputs.push_back(Output::Completed { torrent: self.id });
        self.drop_idle_seeds(context);
    }

    /// Counts again what each peer has that we miss, and tells those to whom it makes a difference.
    fn want_anew(&mut self, context: &mut Context<'_>) {
        for (&link, peer) in &mut self.links {
            let wanted = |piece: &PieceIndex| self.picker.wants(*piece) && !self.verified.get(*piece);
            peer.wanted = peer.has.iter_ones().filter(wanted).count() as u32;
            peer.parts.retain(|piece| wanted(&piece));
            peer.told.retain(|piece, _| wanted(piece));
            let is_wanted = peer.is_useful();
            self.resting.remove(&link);
            if is_wanted != peer.we_want {
                peer.we_want = is_wanted;
                let message = if is_wanted { PeerMessage::Interested } else { PeerMessage::NotInterested };
                context.send(link, message);
            }
            if is_wanted {
                self.hungry.insert(link);
            }
        }
    }
}
