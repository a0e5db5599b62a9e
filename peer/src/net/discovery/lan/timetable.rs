//! When a node speaks on one network: seldom, and never twice within a second.

use std::time::Duration;

use rand::RngExt;
use samara_proto::moment::Moment;

/// Before the first words, and before an answer: so that those who start together, or were asked together,
/// do not speak together (RFC 6762 §5.2, §6).
const LEAST_DELAY: Duration = Duration::from_millis(20);
const DELAY_SPREAD: Duration = Duration::from_millis(100);
/// Answers to one question are spread over so much more time for each peer known here.
const SPREAD_PER_PEER: Duration = Duration::from_millis(10);
/// Between the first two questions; doubled each time (RFC 6762 §5.2 allows no less).
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// The longest wait between two questions: a peer that comes tells of itself, and the question only makes up
/// for packets that were lost.
const LONGEST_INTERVAL: Duration = Duration::from_secs(120);
/// From this interval on, somebody else's question is as good as ours.
const LEISURE: Duration = Duration::from_secs(60);
/// Between two answers (RFC 6762 §6).
const ANSWER_GAP: Duration = Duration::from_secs(1);
/// How often what is new is told: once may be lost (RFC 6762 §8.3).
const ANNOUNCEMENTS: u32 = 2;

/// Something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask who is there.
    Ask,
    /// Tell that we are.
    Tell,
}

/// When to say what next.
#[derive(Clone, Debug)]
pub(super) struct Timetable {
    ask_at: Moment,
    interval: Duration,
    tell_at: Option<Moment>,
    /// No answer before.
    may_tell_at: Moment,
    /// Announcements still to be made.
    announcements: u32,
}

impl Timetable {
    /// Of a node that comes to a network at `now`.
    pub(super) fn new(now: Moment, rng: &mut impl RngExt) -> Self {
        let mut new = Self {
            ask_at: now + delay(0, rng),
            interval: FIRST_INTERVAL,
            tell_at: None,
            may_tell_at: now,
            announcements: 0,
        };
        new.announce(now, rng);
        new
    }

    /// When something is to be said next.
    pub(super) fn deadline(&self) -> Moment {
        self.tell_at.map_or(self.ask_at, |tell_at| tell_at.min(self.ask_at))
    }

    /// What is to be said at `now`; it counts as said. Ask again until there is nothing.
    pub(super) fn next(&mut self, now: Moment, rng: &mut impl RngExt) -> Option<Due> {
        if self.tell_at.is_some_and(|at| at <= now) {
            self.may_tell_at = now + ANSWER_GAP;
            self.announcements = self.announcements.saturating_sub(1);
            self.tell_at = (self.announcements > 0).then_some(self.may_tell_at);
            return Some(Due::Tell);
        }
        if self.ask_at <= now {
            self.ask_later(now, rng);
            self.interval = (2 * self.interval).min(LONGEST_INTERVAL);
            return Some(Due::Ask);
        }
        None
    }

    /// There is something new to tell of us.
    pub(super) fn announce(&mut self, now: Moment, rng: &mut impl RngExt) {
        self.announcements = ANNOUNCEMENTS;
        self.tell_by(now + delay(0, rng));
    }

    /// Somebody who does not know us asks who is there; so do `peers` others hear.
    pub(super) fn on_asked(&mut self, now: Moment, peers: usize, rng: &mut impl RngExt) {
        self.tell_by(now + delay(peers, rng));
    }

    /// Somebody asked what we would ask.
    pub(super) fn on_asked_for_us(&mut self, now: Moment, rng: &mut impl RngExt) {
        if self.interval >= LEISURE {
            self.ask_later(now, rng);
        }
    }

    fn tell_by(&mut self, at: Moment) {
        let at = at.max(self.may_tell_at);
        self.tell_at = Some(self.tell_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn ask_later(&mut self, now: Moment, rng: &mut impl RngExt) {
        self.ask_at = now + self.interval.mul_f64(rng.random_range(1.0..1.25));
    }
}

fn delay(peers: usize, rng: &mut impl RngExt) -> Duration {
    let peers = u32::try_from(peers).unwrap_or(u32::MAX);
    let spread = DELAY_SPREAD + SPREAD_PER_PEER.saturating_mul(peers);
    LEAST_DELAY + spread.mul_f64(rng.random_range(0.0..1.0))
}

#[cfg(test)]
mod tests;
