//! The requests of one remote that we granted: what waits and what is in the driver's hands.

use std::collections::BTreeMap;
use std::time::Duration;

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::moment::Moment;

/// How a request was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It waits for its turn.
    Queued,
    /// The same request waits already.
    AlreadyQueued,
    /// The queue is as long as we said we would hold.
    Full,
}

/// One link's granted requests, served in the order they came.
#[derive(Clone, Debug, Default)]
pub struct Uploads {
    queue: BTreeMap<u64, BlockRef>,
    numbers: BTreeMap<BlockRef, u64>,
    granted: u64,
    handed: u32,
    handed_bytes: u64,
    /// When a block was last handed out or sent.
    moved_at: Moment,
}

impl Uploads {
    /// Takes a request that is to be served, unless `limit` of them are held already.
    pub fn grant(&mut self, block: BlockRef, limit: u32) -> Grant {
        if self.numbers.contains_key(&block) {
            return Grant::AlreadyQueued;
        }
        if self.queue.len() + self.handed as usize >= limit as usize {
            return Grant::Full;
        }
        self.numbers.insert(block, self.granted);
        self.queue.insert(self.granted, block);
        self.granted += 1;
        Grant::Queued
    }

    /// Takes a waiting request back; false if it does not wait.
    pub fn cancel(&mut self, block: BlockRef) -> bool {
        let Some(number) = self.numbers.remove(&block) else { return false };
        self.queue.remove(&number);
        true
    }

    /// The next block to hand to the driver, if fewer than `window_bytes` are in its hands. A block longer
    /// than the window goes alone.
    pub fn hand_out(&mut self, window_bytes: u32, now: Moment) -> Option<BlockRef> {
        let (_, &block) = self.queue.first_key_value()?;
        let fits = self.handed_bytes + u64::from(block.length) <= u64::from(window_bytes);
        if self.handed > 0 && !fits {
            return None;
        }
        self.cancel(block);
        self.handed += 1;
        self.moved_at = now;
        self.handed_bytes += u64::from(block.length);
        Some(block)
    }

    /// The driver is done with `block`, sent or not.
    pub fn on_done(&mut self, block: BlockRef, now: Moment) {
        self.moved_at = now;
        self.handed = self.handed.saturating_sub(1);
        self.handed_bytes = self.handed_bytes.saturating_sub(u64::from(block.length));
        if self.handed == 0 {
            self.handed_bytes = 0;
        }
    }

    /// Takes back everything that waits, oldest first.
    pub fn take_all(&mut self) -> Vec<BlockRef> {
        self.numbers.clear();
        std::mem::take(&mut self.queue).into_values().collect()
    }

    /// Takes back what waits of one piece.
    pub fn take_piece(&mut self, piece: PieceIndex) -> Vec<BlockRef> {
        let first = BlockRef { piece, begin: 0, length: 0 };
        let last = BlockRef { piece, begin: u32::MAX, length: u32::MAX };
        let waiting: Vec<BlockRef> = self.numbers.range(first..=last).map(|(&block, _)| block).collect();
        for &block in &waiting {
            self.cancel(block);
        }
        waiting
    }

    /// The piece of the next block.
    pub fn next_piece(&self) -> Option<PieceIndex> {
        self.queue.first_key_value().map(|(_, block)| block.piece)
    }

    /// Whether anything is in the driver's hands.
    pub fn has_handed(&self) -> bool {
        self.handed > 0
    }

    /// Whether something is in the driver's hands, and got on within `patience`.
    pub fn is_moving(&self, now: Moment, patience: Duration) -> bool {
        self.handed > 0 && self.moved_at + patience > now
    }

    /// Whether anything waits or is in the driver's hands.
    pub fn is_busy(&self) -> bool {
        self.handed > 0 || !self.queue.is_empty()
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(piece: u32, length: u32) -> BlockRef {
        BlockRef { piece: PieceIndex(piece), begin: 0, length }
    }

    #[test]
    fn blocks_come_out_in_order_and_within_the_window() {
        let mut uploads = Uploads::default();
        for piece in [3, 1, 2] {
            assert_eq!(uploads.grant(block(piece, 100), 10), Grant::Queued);
        }
        assert_eq!(uploads.hand_out(200, Moment::ZERO), Some(block(3, 100)));
        assert_eq!(uploads.hand_out(200, Moment::ZERO), Some(block(1, 100)));
        assert_eq!(uploads.hand_out(200, Moment::ZERO), None);
        uploads.on_done(block(3, 100), Moment::ZERO);
        assert_eq!(uploads.hand_out(200, Moment::ZERO), Some(block(2, 100)));
    }

    #[test]
    fn a_block_longer_than_the_window_goes_alone() {
        let mut uploads = Uploads::default();
        uploads.grant(block(1, 1000), 10);
        uploads.grant(block(2, 1), 10);
        assert_eq!(uploads.hand_out(200, Moment::ZERO), Some(block(1, 1000)));
        assert_eq!(uploads.hand_out(200, Moment::ZERO), None);
        uploads.on_done(block(1, 1000), Moment::ZERO);
        assert_eq!(uploads.hand_out(200, Moment::ZERO), Some(block(2, 1)));
    }

    #[test]
    fn the_queue_is_bounded_with_what_the_driver_holds() {
        let mut uploads = Uploads::default();
        assert_eq!(uploads.grant(block(1, 10), 2), Grant::Queued);
        assert_eq!(uploads.grant(block(1, 10), 2), Grant::AlreadyQueued);
        assert_eq!(uploads.grant(block(2, 10), 2), Grant::Queued);
        uploads.hand_out(100, Moment::ZERO);
        assert_eq!(uploads.grant(block(3, 10), 2), Grant::Full);
    }

    #[test]
    fn what_is_taken_back_never_comes_out() {
        let mut uploads = Uploads::default();
        uploads.grant(block(1, 10), 9);
        uploads.grant(block(2, 10), 9);
        uploads.grant(block(3, 10), 9);
        assert!(uploads.cancel(block(1, 10)));
        assert!(!uploads.cancel(block(1, 10)));
        assert_eq!(uploads.take_piece(PieceIndex(2)), vec![block(2, 10)]);
        assert_eq!(uploads.take_all(), vec![block(3, 10)]);
        assert_eq!(uploads.hand_out(100, Moment::ZERO), None);
    }
}
