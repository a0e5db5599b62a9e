//! Requests that were taken back and whose answer is still on its way.

use std::collections::BTreeMap;
use std::time::Duration;

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::moment::Moment;

use super::requests::covering;

/// Remembered for one link; a remote that leaves so many cancels unanswered answers none.
const CANCELLED_MAX: usize = 4096;
/// How long an answer is waited for: some programs forget a request that is cancelled without a word.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// The requests that one remote was told not to answer, and has answered with neither block nor reject.
///
/// BEP 6 promises one of the two. Until it comes, a second request for the same block could not be told
/// from the first: the late reject would be taken for its answer.
#[derive(Clone, Debug, Default)]
pub struct Cancelled {
    since: BTreeMap<BlockRef, Moment>,
}

impl Cancelled {
    /// A request for `block` was taken back.
    pub fn insert(&mut self, block: BlockRef, now: Moment) {
        if self.since.len() < CANCELLED_MAX {
            self.since.insert(block, now);
        }
    }

    /// `block` came or was rejected. Whether it had been cancelled.
    pub fn on_answer(&mut self, block: BlockRef) -> bool {
        self.since.remove(&block).is_some()
    }

    /// The blocks that were cancelled and not answered.
    pub fn blocks(&self) -> impl Iterator<Item = BlockRef> + '_ {
        self.since.keys().copied()
    }

    /// Whether the byte at `offset` of `piece` was cancelled.
    pub fn covers(&self, piece: PieceIndex, offset: u32) -> bool {
        covering(&self.since, piece, offset).is_some()
    }

    /// Gives up answers that do not come.
    pub fn expire(&mut self, now: Moment) {
        self.since.retain(|_, since| *since + ANSWER_WAIT > now);
    }

    /// Whether every answer came.
    pub fn is_empty(&self) -> bool {
        self.since.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_request_covers_its_bytes_until_it_is_answered_or_given_up() {
        let block = |begin| BlockRef { piece: PieceIndex(1), begin, length: 100 };
        let mut cancelled = Cancelled::default();
        cancelled.insert(block(0), Moment::ZERO);
        cancelled.insert(block(200), Moment::ZERO + Duration::from_secs(1));
        assert!(cancelled.covers(PieceIndex(1), 99) && !cancelled.covers(PieceIndex(1), 100));
        assert!(cancelled.on_answer(block(0)) && !cancelled.on_answer(block(0)));
        cancelled.expire(Moment::ZERO + ANSWER_WAIT);
        assert!(cancelled.covers(PieceIndex(1), 200));
        cancelled.expire(Moment::ZERO + ANSWER_WAIT + Duration::from_secs(1));
        assert!(cancelled.is_empty());
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut cancelled = Cancelled::default();
        for piece in 0..2 * CANCELLED_MAX as u32 {
            cancelled.insert(BlockRef { piece: PieceIndex(piece), begin: 0, length: 1 }, Moment::ZERO);
        }
        assert_eq!(cancelled.since.len(), CANCELLED_MAX);
    }
}
