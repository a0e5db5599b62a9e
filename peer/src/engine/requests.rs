//! Every request in flight on one link.

use std::collections::BTreeMap;
use std::time::Duration;

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::moment::Moment;

use super::ahead::Ahead;

/// What is known of a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it was sent.
    pub sent_at: Moment,
    /// Whether nothing else was in flight on its link then, so that its delay is the bare delay.
    pub alone: bool,
    /// Whether others were asked for its blocks too because it took too long.
    pub overdue: bool,
    number: u64,
}

/// The requests that one remote has not answered yet.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    by_block: BTreeMap<BlockRef, Request>,
    /// In the order they were sent.
    by_age: BTreeMap<u64, BlockRef>,
    sent: u64,
    bytes: u64,
}

impl Requests {
    /// `block` was requested at `now`. Returns false, and changes nothing, if it is in flight already.
    pub fn insert(&mut self, block: BlockRef, now: Moment, ahead: &mut Ahead) -> bool {
        if self.by_block.contains_key(&block) {
            return false;
        }
        let request = Request { sent_at: now, alone: self.is_empty(), overdue: false, number: self.sent };
        self.by_block.insert(block, request);
        self.by_age.insert(self.sent, block);
        self.sent += 1;
        self.bytes += u64::from(block.length);
        ahead.add(u64::from(block.length));
        true
    }

    /// `block` was answered or withdrawn.
    pub fn remove(&mut self, block: BlockRef, ahead: &mut Ahead) -> Option<Request> {
        let request = self.by_block.remove(&block)?;
        self.by_age.remove(&request.number);
        self.bytes -= u64::from(block.length);
        ahead.remove(u64::from(block.length));
        Some(request)
    }

    /// Takes out every request, oldest first.
    pub fn take_all(&mut self, ahead: &mut Ahead) -> Vec<BlockRef> {
        self.by_block.clear();
        ahead.remove(std::mem::take(&mut self.bytes));
        std::mem::take(&mut self.by_age).into_values().collect()
    }

    /// The request that asks for the byte at `offset` of `piece`.
    pub fn covering(&self, piece: PieceIndex, offset: u32) -> Option<BlockRef> {
        covering(&self.by_block, piece, offset)
    }

    /// The requests for parts of `piece`.
    pub fn of_piece(&self, piece: PieceIndex) -> Vec<BlockRef> {
        let first = BlockRef { piece, begin: 0, length: 0 };
        let last = BlockRef { piece, begin: u32::MAX, length: u32::MAX };
        self.by_block.range(first..=last).map(|(&block, _)| block).collect()
    }

    /// Marks the requests sent before `now - patience` as overdue and returns those that were not yet.
    pub fn overdue(&mut self, now: Moment, patience: Duration) -> Vec<BlockRef> {
        let mut late = Vec::new();
        for block in self.by_age.values() {
            let Some(request) = self.by_block.get_mut(block) else { continue };
            if request.sent_at + patience > now {
                break;
            }
            if !request.overdue {
                request.overdue = true;
                late.push(*block);
            }
        }
        late
    }

    /// The oldest requests, sent before `now - patience`.
    pub fn older_than(&self, now: Moment, patience: Duration) -> Vec<BlockRef> {
        let sent_early = |block: &&BlockRef| {
            self.by_block.get(block).is_some_and(|request| request.sent_at + patience <= now)
        };
        self.by_age.values().take_while(sent_early).copied().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_block.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_block.is_empty()
    }

    /// Bytes asked for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Which of some blocks that do not overlap has the byte at `offset` of `piece`.
pub(super) fn covering<T>(
    blocks: &BTreeMap<BlockRef, T>,
    piece: PieceIndex,
    offset: u32,
) -> Option<BlockRef> {
    let up_to = BlockRef { piece, begin: offset, length: u32::MAX };
    let (&block, _) = blocks.range(..=up_to).next_back()?;
    let covers = block.piece == piece && offset - block.begin < block.length;
    covers.then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(piece: u32, begin: u32, length: u32) -> BlockRef {
        BlockRef { piece: PieceIndex(piece), begin, length }
    }

    fn seconds(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn bytes_in_flight_are_those_inserted_and_not_removed() {
        let (mut requests, mut ahead) = (Requests::default(), Ahead::default());
        assert!(requests.insert(block(1, 0, 100), seconds(0), &mut ahead));
        assert!(!requests.insert(block(1, 0, 100), seconds(0), &mut ahead));
        assert!(requests.insert(block(1, 100, 50), seconds(0), &mut ahead));
        assert_eq!((requests.len(), requests.bytes()), (2, 150));
        assert_eq!(ahead.share(1000), 850);
        assert!(requests.remove(block(1, 0, 100), &mut ahead).is_some_and(|request| request.alone));
        assert_eq!(requests.remove(block(1, 0, 100), &mut ahead), None);
        assert_eq!((requests.len(), requests.bytes()), (1, 50));
        assert_eq!(requests.take_all(&mut ahead), vec![block(1, 100, 50)]);
        assert_eq!((requests.len(), requests.bytes()), (0, 0));
        assert_eq!(ahead, Ahead::default());
    }

    #[test]
    fn a_long_request_covers_all_its_bytes() {
        let (mut requests, mut ahead) = (Requests::default(), Ahead::default());
        requests.insert(block(1, 100, 300), seconds(0), &mut ahead);
        assert_eq!(requests.covering(PieceIndex(1), 100), Some(block(1, 100, 300)));
        assert_eq!(requests.covering(PieceIndex(1), 399), Some(block(1, 100, 300)));
        assert_eq!(requests.covering(PieceIndex(1), 400), None);
        assert_eq!(requests.covering(PieceIndex(1), 99), None);
        assert_eq!(requests.covering(PieceIndex(2), 100), None);
    }

    #[test]
    fn the_requests_of_one_piece_can_be_told_apart() {
        let (mut requests, mut ahead) = (Requests::default(), Ahead::default());
        for (piece, begin) in [(1, 0), (2, 0), (2, 10), (3, 0)] {
            requests.insert(block(piece, begin, 10), seconds(0), &mut ahead);
        }
        assert_eq!(requests.of_piece(PieceIndex(2)), vec![block(2, 0, 10), block(2, 10, 10)]);
    }

    #[test]
    fn a_request_becomes_overdue_once() {
        let (mut requests, mut ahead) = (Requests::default(), Ahead::default());
        requests.insert(block(1, 0, 10), seconds(0), &mut ahead);
        requests.insert(block(2, 0, 10), seconds(5), &mut ahead);
        assert_eq!(requests.overdue(seconds(9), Duration::from_secs(10)), vec![]);
        assert_eq!(requests.overdue(seconds(11), Duration::from_secs(10)), vec![block(1, 0, 10)]);
        assert_eq!(requests.overdue(seconds(15), Duration::from_secs(10)), vec![block(2, 0, 10)]);
        assert_eq!(requests.older_than(seconds(14), Duration::from_secs(10)), vec![block(1, 0, 10)]);
    }
}
