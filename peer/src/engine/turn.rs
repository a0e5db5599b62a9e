//! One peer's turn: since when it may take from us, what it took, and when somebody else should.

use std::time::Duration;

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::moment::Moment;

/// A turn covers so many bytes: long enough for its hand-over to cost nothing, short enough for what is new to get
/// around.
const BYTES: u64 = 1024 * 1024;
/// Fewer where a slot gives less within so many seconds, but at least a piece: that is passed on as soon as it is
/// whole, so turns end with one.
const SECONDS: u64 = 10;
/// A turn lasts at least so long, on however fast a path.
const TIME_MIN: Duration = Duration::from_millis(50);
/// No turn lasts longer while others wait, or than twice its usual time: who takes slowly, or not at all, holds no
/// place for ever.
const TIME_MAX: Duration = Duration::from_secs(30);
/// How long a peer that was never heard to answer an unchoke may leave its turn unused.
const GRACE_AT_FIRST: Duration = Duration::from_millis(500);
/// Bounds of the same for a peer whose answers are known: four times as long as it takes for them.
const GRACE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The turn that a peer has, or had last.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Since when it has its slot, or waits for one.
    since: Moment,
    /// Bytes handed out.
    handed: u64,
    /// Bytes it was shown, by a first seed.
    shown: u64,
    /// The piece of the block handed out last.
    piece: Option<PieceIndex>,
    /// Since when nothing is asked for and everything is sent.
    idle_since: Moment,
    /// When it last began.
    begun_at: Moment,
    /// Nothing was asked for yet.
    is_unused: bool,
    /// How long it takes from an unchoke to a request: the shortest time, unless that was too short twice in a row.
    delay: Option<Duration>,
    /// It asked for something only after its last turn.
    was_late: bool,
}

impl Turn {
    /// A peer that came at `now`.
    pub fn new(now: Moment) -> Self {
        Self {
            since: now,
            handed: 0,
            shown: 0,
            piece: None,
            idle_since: now,
            begun_at: now,
            is_unused: false,
            delay: None,
            was_late: false,
        }
    }

    /// How many bytes a turn covers where a slot gives `rate` bytes a second, 0 if that is not known.
    pub fn length(piece_length: u32, rate: u64) -> u64 {
        let bytes = if rate == 0 { BYTES } else { BYTES.min(rate.saturating_mul(SECONDS)) };
        bytes.max(u64::from(piece_length))
    }

    /// It waits since `now`.
    pub fn wait(&mut self, now: Moment) {
        self.since = now;
    }

    /// It has a slot since `now`.
    pub fn begin(&mut self, now: Moment) {
        *self = Self { is_unused: true, delay: self.delay, was_late: self.was_late, ..Self::new(now) };
    }

    /// Since when it has its slot, or waits for one.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// It asks for something.
    pub fn on_request(&mut self, now: Moment) {
        if std::mem::take(&mut self.is_unused) {
            let delay = now.since(self.since);
            self.delay = Some(self.delay.map_or(delay, |known| known.min(delay)));
            self.was_late = false;
        }
    }

    /// It asks for something after its turn: it was not given the time to. Once says little of a peer that was sooner
    /// before.
    pub fn on_late_request(&mut self, now: Moment) {
        if std::mem::take(&mut self.is_unused) {
            let delay = now.since(self.begun_at);
            let was_late = std::mem::replace(&mut self.was_late, true);
            self.delay = Some(match self.delay {
                Some(known) if was_late => delay.min(known * 2),
                Some(known) => known.min(delay),
                None => delay,
            });
        }
    }

    /// A block was handed out.
    pub fn on_handed(&mut self, block: BlockRef) {
        self.handed += u64::from(block.length);
        self.piece = Some(block.piece);
    }

    /// So many bytes more were shown.
    pub fn on_shown(&mut self, bytes: u32) {
        self.shown += u64::from(bytes);
    }

    /// All that it asked for is sent.
    pub fn on_dry(&mut self, now: Moment) {
        self.idle_since = now;
    }

    /// Whether it was shown as much as belongs to a turn of `length` bytes.
    pub fn is_shown_all(&self, length: u64) -> bool {
        self.shown >= length
    }

    /// Whether it got what belongs to a turn of `length` bytes, `next` being the piece of what it would get now.
    pub fn is_used_up(&self, length: u64, next: Option<PieceIndex>, now: Moment) -> bool {
        let is_whole = next.is_none() || next != self.piece;
        self.handed >= length && is_whole && now.since(self.since) >= TIME_MIN
    }

    /// When it ends if nothing happens any more, `is_busy` if blocks are asked for or being sent; a whole turn should
    /// take as long as `usual`.
    pub fn ends_at(&self, is_busy: bool, usual: Duration) -> Moment {
        let grace = self.delay.map_or(GRACE_AT_FIRST, |delay| (delay * 4).clamp(GRACE.0, GRACE.1));
        let latest = self.since + TIME_MAX.max(usual * 2);
        if is_busy { latest } else { latest.min(self.idle_since + grace) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u32 = 256 * 1024;

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    fn block(piece: u32) -> BlockRef {
        BlockRef { piece: PieceIndex(piece), begin: 0, length: PIECE }
    }

    #[test]
    fn a_turn_ends_after_its_bytes_with_a_whole_piece() {
        let mut turn = Turn::new(at(0));
        turn.begin(at(100));
        (0..4).for_each(|piece| turn.on_handed(block(piece)));
        let length = Turn::length(PIECE, 0);
        assert!(!turn.is_used_up(length, Some(PieceIndex(3)), at(1000)), "in the middle of a piece");
        assert!(!turn.is_used_up(length, Some(PieceIndex(4)), at(120)), "before its least time");
        assert!(turn.is_used_up(length, Some(PieceIndex(4)), at(1000)));
        assert!(turn.is_used_up(length, None, at(1000)));
        turn.begin(at(2000));
        assert!(!turn.is_used_up(length, None, at(3000)), "the next one starts at nothing");
    }

    #[test]
    fn a_turn_is_shorter_on_a_slow_uplink_and_holds_a_piece_on_any() {
        assert_eq!(Turn::length(PIECE, 0), BYTES);
        assert_eq!(Turn::length(PIECE, 10_000_000), BYTES);
        assert_eq!(Turn::length(PIECE, 50_000), 500_000);
        assert_eq!(Turn::length(PIECE, 1000), u64::from(PIECE));
        assert_eq!(Turn::length(8 * PIECE, 0), u64::from(8 * PIECE));
    }

    #[test]
    fn an_unused_turn_ends_once_the_peer_would_have_answered() {
        let mut turn = Turn::new(at(0));
        turn.begin(at(0));
        assert_eq!(turn.ends_at(false, Duration::ZERO), at(500));
        turn.on_request(at(200));
        turn.on_dry(at(300));
        assert_eq!(turn.ends_at(false, Duration::ZERO), at(300 + 800));
        turn.begin(at(5000));
        turn.on_request(at(5001));
        turn.on_request(at(9000));
        turn.on_dry(at(9000));
        assert_eq!(
            turn.ends_at(false, Duration::ZERO),
            at(9100),
            "only the first answer of a turn counts, and the fastest"
        );
    }

    #[test]
    fn who_answers_after_its_turn_has_more_time_in_the_next() {
        let mut turn = Turn::new(at(0));
        turn.begin(at(1000));
        turn.wait(at(1100));
        turn.on_late_request(at(1400));
        turn.on_late_request(at(1900));
        turn.begin(at(2000));
        assert_eq!(turn.ends_at(false, Duration::ZERO), at(2000 + 4 * 400));
        turn.on_request(at(2050));
        for (begun, grace) in [(3000, 200), (4000, 200), (5000, 400), (6000, 800), (7000, 1400)] {
            turn.begin(at(begun));
            assert_eq!(turn.ends_at(false, Duration::ZERO), at(begun + grace), "it is late again and again");
            turn.on_late_request(at(begun + 350));
        }
        turn.begin(at(8000));
        turn.on_request(at(8350));
        turn.begin(at(9000));
        turn.on_late_request(at(9900));
        turn.begin(at(10_000));
        assert_eq!(turn.ends_at(false, Duration::ZERO), at(11_400), "once says little");
    }

    #[test]
    fn a_turn_in_use_ends_all_the_same() {
        let mut turn = Turn::new(at(0));
        turn.begin(at(1000));
        assert_eq!(turn.ends_at(true, Duration::ZERO), at(31_000));
        assert_eq!(turn.ends_at(true, Duration::from_secs(20)), at(41_000), "a turn takes long here");
    }
}
