//! Complete files that somebody touched: a piece of theirs is served again once it is hashed again.

use std::ops::Range;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::PieceIndex;

/// Which verified pieces may have changed since they were checked.
pub(super) struct Doubts {
    pieces: Bitfield,
    /// How often any was put in doubt.
    raised: u64,
    /// Pieces that were found bad and have not been reported yet.
    bad: Vec<PieceIndex>,
}

/// How often doubts had been raised when a hash was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raised(u64);

impl Doubts {
    /// None of so many pieces is in doubt.
    pub(super) fn new(piece_count: u32) -> Self {
        Self { pieces: Bitfield::new(piece_count), raised: 0, bad: Vec::new() }
    }

    /// Puts the verified pieces among `pieces` in doubt.
    pub(super) fn raise(&mut self, pieces: Range<u32>, verified: &Bitfield) {
        self.raised += 1;
        for piece in pieces.map(PieceIndex).filter(|&piece| verified.get(piece)) {
            self.pieces.set(piece);
        }
    }

    /// If a piece is in doubt: what to say when it has been hashed.
    pub(super) fn about(&self, piece: PieceIndex) -> Option<Raised> {
        self.pieces.get(piece).then_some(Raised(self.raised))
    }

    /// Takes the doubt from a piece that was hashed; whether that is so. It is not if doubts were raised
    /// meanwhile: then the hash may be of what was there before.
    pub(super) fn settle(&mut self, piece: PieceIndex, begun: Raised) -> bool {
        self.raised == begun.0 && self.pieces.clear(piece)
    }

    /// Notes that a piece was found bad.
    pub(super) fn add_bad(&mut self, piece: PieceIndex) {
        self.bad.push(piece);
    }

    /// The bad pieces of a file that are to be reported now.
    pub(super) fn take_bad(&mut self, pieces: &Range<u32>) -> Vec<PieceIndex> {
        let mut taken: Vec<_> = self.bad.extract_if(.., |piece| pieces.contains(&piece.0)).collect();
        taken.sort_unstable();
        taken
    }
}
