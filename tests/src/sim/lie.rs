//! What liars do differently: each runs the production engine and bends its orders.

use samara_peer::engine::event::{Output, PeerMessage};
use samara_peer::engine::rng::EngineRng;
use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;

use super::agenda::Nanos;
use super::disk::Shape;

/// Between two acts of a liar who acts of its own accord.
pub const MISCHIEF_INTERVAL: Nanos = 100_000_000;
/// Messages that a flooder sends over each link at once.
const FLOOD: u32 = 100;
/// Requests that a storm consists of, twice what anybody announced that he would hold.
const STORM: u32 = 2048;
/// An under-reporter tells of one piece in so many.
const REPORTED: u32 = 4;

/// How a host lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Not at all.
    None,
    /// One block in so many that it gives has wrong bytes.
    Corrupts(u32),
    /// It never gives anybody a slot.
    FreeRides,
    /// It gives slots and takes requests, and sends nothing.
    Stalls,
    /// It says that it has everything.
    ClaimsAll,
    /// It says that it has nothing, and later a part of what it gets.
    UnderReports,
    /// It sends messages that change nothing, without end.
    Floods,
    /// It requests more than anybody would hold, again and again.
    Storms,
}

impl Lie {
    /// Whether it lies at all.
    pub fn is_honest(self) -> bool {
        self == Lie::None
    }

    /// Whether it acts of its own accord, beside its engine.
    pub fn has_mischief(self) -> bool {
        matches!(self, Lie::Floods | Lie::Storms)
    }

    /// What it does in place of an order.
    pub fn bend(self, output: Output) -> Option<Output> {
        use PeerMessage::{Bitfield, Have, HaveAll, HaveNone, Unchoke};
        match (self, output) {
            (Lie::FreeRides, Output::Send { message: Unchoke, .. }) => None,
            (Lie::Stalls, Output::SendBlock { .. }) => None,
            (Lie::ClaimsAll, Output::Send { link, message: Bitfield(_) | HaveNone }) => {
                Some(Output::Send { link, message: HaveAll })
            }
            (Lie::ClaimsAll, Output::Send { message: Have(_), .. }) => None,
            (Lie::UnderReports, Output::Send { link, message: Bitfield(_) | HaveAll }) => {
                Some(Output::Send { link, message: HaveNone })
            }
            (Lie::UnderReports, Output::Send { message: Have(piece), .. })
                if !piece.0.is_multiple_of(REPORTED) =>
            {
                None
            }
            (_, output) => Some(output),
        }
    }

    /// Whether the next block it gives is wrong.
    pub fn spoils(self, rng: &mut EngineRng) -> bool {
        match self {
            Lie::Corrupts(one_in) => rng.below(one_in) == 0,
            _ => false,
        }
    }

    /// Whether it gives leaf hashes, by which what it gave could be judged.
    pub fn proves(self) -> bool {
        !matches!(self, Lie::Corrupts(_))
    }

    /// What it says over one link of its own accord.
    pub fn mischief(self, shape: Shape, rng: &mut EngineRng) -> Vec<PeerMessage> {
        let piece = |rng: &mut EngineRng| PieceIndex(rng.below(shape.pieces));
        match self {
            Lie::Floods => (0..FLOOD)
                .map(|number| match number % 5 {
                    0 => PeerMessage::Interested,
                    1 => PeerMessage::NotInterested,
                    2 => PeerMessage::AllowedFast(piece(rng)),
                    3 => PeerMessage::Blocks { piece: piece(rng), blocks: Bitfield::full(shape.blocks()) },
                    _ => PeerMessage::Have(piece(rng)),
                })
                .collect(),
            Lie::Storms => (0..STORM)
                .map(|_| {
                    let begin = rng.below(shape.blocks()) * BLOCK_LENGTH;
                    PeerMessage::Request(BlockRef { piece: piece(rng), begin, length: BLOCK_LENGTH })
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}
