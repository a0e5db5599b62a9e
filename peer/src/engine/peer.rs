//! One linked peer: what it has, who chokes and wants whom, and what flows in both directions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use super::blame::Trial;
use super::cancelled::Cancelled;
use super::config::EngineConfig;
use super::event::{PeerKey, PeerTraits};
use super::parts::Parts;
use super::pipeline::Pipeline;
use super::rate::Meter;
use super::requests::Requests;
use super::turn::Turn;
use super::uploads::Uploads;

/// Over how long a peer's gifts are counted when slots are given out.
const MERIT_WINDOW: Duration = Duration::from_secs(20);
/// Over how long the rate towards a peer is taken.
const UP_WINDOW: Duration = Duration::from_secs(1);
/// Pieces that one remote may allow us while it chokes us, or suggest: more is forgotten.
const HINTS_MAX: usize = 64;
/// Pieces of which it is remembered that one remote refused them.
const REFUSED_MAX: usize = 1024;
/// So many refusals without a block in between are more than a first seed that gives to others needs.
const REFUSALS_MAX: u32 = 512;
/// How long a piece that a remote refused is not asked of it again: long enough for what it suffers from to
/// pass, and short enough to wait for if nobody else has the piece.
const REFUSAL_LASTS: Duration = Duration::from_secs(30);
/// How long a remote that refuses so much and gives nothing is asked for nothing.
const SPARED_FOR: Duration = Duration::from_secs(2);
/// Control messages without effect that a remote may send at once beyond what its queue explains.
const ALLOWANCE: u32 = 4096;
/// Such messages that it may send each second for ever.
const ALLOWANCE_RATE: u64 = 128;
/// Such messages that each block given or taken earns: an unchoke, and interest lost and found.
const EARNED: u32 = 16;

/// The state of one link.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who is at the other end.
    pub key: PeerKey,
    /// What it can do.
    pub traits: PeerTraits,
    /// The pieces it has.
    pub has: Bitfield,
    /// What it has of those of which it has not all, and that we miss.
    pub parts: Parts,
    /// It said at once that it has everything, and is counted so.
    pub came_with_all: bool,
    /// How many of its pieces we miss.
    pub wanted: u32,
    /// It may take from us only while this is false.
    pub we_choke: bool,
    /// We may take from it only while this is false.
    pub chokes_us: bool,
    /// It was told that we are interested.
    pub we_want: bool,
    /// It told us that it is interested.
    pub wants_us: bool,
    /// It told us so at least once.
    pub ever_wanted_us: bool,
    /// Its turn to take from us.
    pub turn: Turn,
    /// A message other than the first has come or nothing may precede it: no bitfield is in order.
    pub opened: bool,
    /// When anything last came from it.
    pub heard_at: Moment,
    /// When the link came up.
    pub linked_at: Moment,
    /// What it was asked for.
    pub requests: Requests,
    /// What it was asked for, then told not to give, and has not answered.
    pub cancelled: Cancelled,
    /// Whether it may be asked for more.
    pub trial: Trial,
    /// How much it is asked for ahead.
    pub pipeline: Pipeline,
    /// What it asked for and will get.
    pub uploads: Uploads,
    /// Content bytes it gave us.
    pub down: Meter,
    /// Content bytes it got from us.
    pub up: Meter,
    /// Content bytes it gave us that we had already.
    pub wasted_bytes: u64,
    /// Pieces it gives us even while it chokes us.
    pub allowed: BTreeSet<PieceIndex>,
    /// Pieces it refused to give us since it last unchoked us, and when.
    pub refused: BTreeMap<PieceIndex, Moment>,
    /// How many times it refused something since it last gave something or unchoked us.
    refusals: u32,
    /// Until when it is asked for nothing, since it only refused.
    pub spared_until: Option<Moment>,
    /// Pieces it would rather send.
    pub suggested: VecDeque<PieceIndex>,
    /// Pieces of which it was not told yet that we have them.
    pub untold: Vec<PieceIndex>,
    /// Pieces that are not whole of which it was told, and of how many blocks.
    pub told: BTreeMap<PieceIndex, u32>,
    /// The piece it was last asked for.
    pub current: Option<PieceIndex>,
    /// When it may next be asked for what others were asked for.
    pub rescue_at: Moment,
    allowance: u32,
    allowance_at: Moment,
}

impl Peer {
    /// A peer just linked, of which nothing is known but who it is.
    pub fn new(key: PeerKey, traits: PeerTraits, pieces: u32, trial: Trial, now: Moment) -> Self {
        let traits = PeerTraits {
            request_length: traits.request_length.max(BLOCK_LENGTH),
            request_queue: traits.request_queue.max(1),
            ..traits
        };
        Self {
            key,
            traits,
            has: Bitfield::new(pieces),
            parts: Parts::default(),
            came_with_all: false,
            wanted: 0,
            we_choke: true,
            chokes_us: true,
            we_want: false,
            wants_us: false,
            ever_wanted_us: false,
            turn: Turn::new(now),
            opened: false,
            heard_at: now,
            linked_at: now,
            requests: Requests::default(),
            cancelled: Cancelled::default(),
            trial,
            pipeline: Pipeline::new(now),
            uploads: Uploads::default(),
            down: Meter::new(now, MERIT_WINDOW),
            up: Meter::new(now, UP_WINDOW),
            wasted_bytes: 0,
            allowed: BTreeSet::new(),
            refused: BTreeMap::new(),
            refusals: 0,
            spared_until: None,
            suggested: VecDeque::new(),
            untold: Vec::new(),
            told: BTreeMap::new(),
            current: None,
            rescue_at: now,
            allowance: ALLOWANCE,
            allowance_at: now,
        }
    }

    /// Bytes of blocks for this peer that the driver may hold.
    pub fn upload_window_bytes(&self, now: Moment, config: &EngineConfig) -> u32 {
        let bytes = u128::from(self.up.rate(now)) * config.upload_window.as_micros() / 1_000_000;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        bytes.max(config.upload_window_floor_bytes).min(config.upload_window_ceiling_bytes)
    }

    /// Pays for a message that honest peers send rarely or to little effect; false if it sent far too many.
    pub fn afford(&mut self, now: Moment, cost: u32) -> bool {
        let earned = now.since(self.allowance_at).as_micros() as u64 / (1_000_000 / ALLOWANCE_RATE);
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.allowance = self.allowance.saturating_add(earned).min(ALLOWANCE);
            self.allowance_at = now;
        }
        match self.allowance.checked_sub(cost) {
            Some(rest) => {
                self.allowance = rest;
                true
            }
            None => false,
        }
    }

    /// A block went either way: who trades may speak, however small its pieces are and however often its wishes
    /// change with them.
    pub fn earn(&mut self) {
        self.allowance = self.allowance.saturating_add(EARNED).min(ALLOWANCE);
    }

    /// Whether it has anything that we miss.
    pub fn is_useful(&self) -> bool {
        self.wanted > 0 || !self.parts.is_empty()
    }

    /// It allows us `piece` even while it chokes us.
    pub fn allow(&mut self, piece: PieceIndex) {
        if self.allowed.len() < HINTS_MAX {
            self.allowed.insert(piece);
        }
    }

    /// It would rather send `piece`.
    pub fn suggest(&mut self, piece: PieceIndex) {
        if !self.suggested.contains(&piece) {
            self.suggested.push_front(piece);
            self.suggested.truncate(HINTS_MAX);
        }
    }

    /// It refused something of `piece`. If it does nothing else, it is asked for nothing for a while: to ask on and on
    /// would be a flood.
    pub fn refuse(&mut self, piece: PieceIndex, now: Moment) {
        if self.refused.len() >= REFUSED_MAX {
            self.refused.clear();
        }
        self.refused.insert(piece, now);
        self.refusals += 1;
        if self.refusals > REFUSALS_MAX {
            self.refusals = 0;
            self.refused.clear();
            self.pipeline.snub();
            self.spared_until = Some(now + SPARED_FOR);
        }
    }

    /// It gave something that it was asked for.
    pub fn on_given(&mut self) {
        self.earn();
        self.refusals = 0;
    }

    /// It unchoked us: whatever it refused, it may give now.
    pub fn on_unchoked(&mut self) {
        self.chokes_us = false;
        self.refused.clear();
        self.refusals = 0;
        self.spared_until = None;
    }

    /// It was told not to answer a request, which is in flight no more.
    pub fn on_cancelled(&mut self, block: BlockRef, now: Moment) {
        // Without BEP 6 it says nothing more of it, or sends the block.
        if self.traits.fast {
            self.cancelled.insert(block, now);
        }
    }

    /// Whether there is something that it is not asked for because it refused it, or may still answer.
    pub fn is_held_back(&self) -> bool {
        !self.refused.is_empty() || !self.cancelled.is_empty() || self.spared_until.is_some()
    }

    /// Forgets what has kept it from being asked for too long. Whether anything had.
    pub fn forgive(&mut self, now: Moment) -> bool {
        let was_held_back = self.is_held_back();
        self.spared_until = self.spared_until.filter(|&until| until > now);
        self.refused.retain(|_, at| *at + REFUSAL_LASTS > now);
        self.cancelled.expire(now);
        was_held_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        let traits =
            PeerTraits { fast: true, request_length: 0, request_queue: 0, upload_only: false, blocks: false };
        Peer::new(PeerKey(1), traits, 10, Trial::Passed, Moment::ZERO)
    }

    #[test]
    fn traits_that_would_stop_everything_are_raised_to_the_least_that_works() {
        let traits = peer().traits;
        assert_eq!((traits.request_length, traits.request_queue), (BLOCK_LENGTH, 1));
    }

    #[test]
    fn an_allowance_is_spent_and_comes_back_with_time() {
        let mut peer = peer();
        assert!((0..ALLOWANCE).all(|_| peer.afford(Moment::ZERO, 1)));
        assert!(!peer.afford(Moment::ZERO, 1));
        let later = Moment::ZERO + Duration::from_secs(1);
        assert!((0..ALLOWANCE_RATE).all(|_| peer.afford(later, 1)));
        assert!(!peer.afford(later, 1));
    }

    #[test]
    fn who_trades_may_speak() {
        let mut peer = peer();
        assert!((0..ALLOWANCE).all(|_| peer.afford(Moment::ZERO, 1)));
        peer.earn();
        assert!(peer.afford(Moment::ZERO, EARNED));
        assert!(!peer.afford(Moment::ZERO, 1));
    }

    #[test]
    fn hints_are_bounded() {
        let mut peer = peer();
        for piece in 0..1000 {
            peer.allow(PieceIndex(piece));
            peer.suggest(PieceIndex(piece));
        }
        assert_eq!((peer.allowed.len(), peer.suggested.len()), (HINTS_MAX, HINTS_MAX));
    }

    #[test]
    fn who_only_refuses_is_spared_and_who_gives_in_between_is_not() {
        let mut peer = peer();
        for piece in 0..10 * REFUSED_MAX as u32 {
            peer.refuse(PieceIndex(piece), Moment::ZERO);
            if piece % REFUSALS_MAX == 0 {
                peer.on_given();
            }
            assert!(peer.refused.len() <= REFUSED_MAX && peer.spared_until.is_none());
        }
        peer.on_given();
        (0..REFUSALS_MAX).for_each(|piece| peer.refuse(PieceIndex(piece), Moment::ZERO));
        assert!(peer.spared_until.is_none());
        peer.refuse(PieceIndex(0), Moment::ZERO);
        assert!(peer.refused.is_empty() && peer.spared_until.is_some());
        assert!(peer.forgive(Moment::ZERO + SPARED_FOR) && peer.spared_until.is_none());
    }
}
