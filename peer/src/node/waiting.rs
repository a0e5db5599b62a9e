//! What a download waits for, if nothing can arrive or nothing does.

use std::time::Duration;

use samara_proto::bitfield::Bitfield;

use crate::handle::Waiting;

/// Silence after which peers that could give something are said to give nothing: several rounds of requests
/// even on a slow link.
const QUIET: Duration = Duration::from_secs(5);

/// Pieces that are missing, and how many of them no linked peer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) missing: u32,
    pub(super) unseen: u32,
}

impl Lack {
    /// What is missing besides what is `needless`, because it is verified or not wanted, seen from peers that have `shown`.
    pub(super) fn new<'a>(needless: &Bitfield, shown: impl IntoIterator<Item = &'a Bitfield>) -> Self {
        let missing = needless.len() - needless.count_ones();
        if missing == 0 {
            return Self::default();
        }
        let mut reachable = needless.clone();
        for has in shown {
            if has.is_full() {
                return Self { missing, unseen: 0 };
            }
            reachable.set_all_of(has);
        }
        Self { missing, unseen: reachable.len() - reachable.count_ones() }
    }

    /// What is waited for with `links` linked peers, when nothing has arrived for `quiet`.
    pub(super) fn waits_for(self, links: usize, quiet: Duration) -> Option<Waiting> {
        match self {
            Self { missing: 0, .. } => None,
            _ if links == 0 => Some(Waiting::ForPeers),
            Self { missing, unseen } if missing == unseen => Some(Waiting::ForPieces),
            _ if quiet >= QUIET => Some(Waiting::ForTurn),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use samara_proto::layout::PieceIndex;

    use super::*;

    fn set(pieces: &[u32]) -> Bitfield {
        let mut set = Bitfield::new(8);
        pieces.iter().for_each(|&piece| _ = set.set(PieceIndex(piece)));
        set
    }

    #[test]
    fn pieces_are_unseen_that_are_missing_here_and_with_every_peer() {
        let lack = Lack::new(&set(&[0, 1, 2]), [&set(&[1, 3]), &set(&[0, 4])]);
        assert_eq!(lack, Lack { missing: 5, unseen: 3 });
        assert_eq!(Lack::new(&set(&[0]), [&set(&[0]), &Bitfield::full(8)]), Lack { missing: 7, unseen: 0 });
        assert_eq!(Lack::new(&Bitfield::full(8), []), Lack::default());
    }

    #[test]
    fn it_is_said_what_is_waited_for_and_nothing_while_something_can_come() {
        let (now, long) = (Duration::ZERO, QUIET);
        let some = Lack { missing: 5, unseen: 3 };
        assert_eq!(some.waits_for(2, now), None);
        assert_eq!(some.waits_for(2, long), Some(Waiting::ForTurn));
        assert_eq!(some.waits_for(0, now), Some(Waiting::ForPeers));
        assert_eq!(Lack { missing: 5, unseen: 5 }.waits_for(2, now), Some(Waiting::ForPieces));
        assert_eq!(Lack::default().waits_for(0, long), None);
    }
}
