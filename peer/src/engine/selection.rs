//! What is wanted of a torrent, how much, and in which order.

use samara_proto::layout::PieceIndex;

/// How much a piece is wanted. Pieces of a higher priority are begun first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Not at all: it is never asked for.
    Skip,
    /// After everything else.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before everything else.
    High,
}

/// In which order pieces of one priority are begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sequence {
    /// The rarest first, which is best for the swarm.
    #[default]
    Rarest,
    /// The first first, for who uses the beginning before the end is there.
    Ascending,
}

/// A choice of pieces. The default is everything, the rarest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The priority of each piece; those beyond the end of the list are normal.
    pub priorities: Vec<Priority>,
    /// The order within one priority.
    pub sequence: Sequence,
}

impl Selection {
    /// How much `piece` is wanted.
    pub fn priority(&self, piece: PieceIndex) -> Priority {
        self.priorities.get(piece.0 as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_mentioned_is_normal() {
        let selection = Selection { priorities: vec![Priority::Skip], ..Selection::default() };
        assert_eq!([0, 1].map(|n| selection.priority(PieceIndex(n))), [Priority::Skip, Priority::Normal]);
        assert!(Priority::Skip < Priority::Low && Priority::Normal < Priority::High);
    }
}
