//! Who could be dialled for one torrent, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use samara_proto::moment::Moment;

use super::event::{HolderKey, PeerKey, Source};
use super::rng::EngineRng;

/// The first wait after a failure; it doubles with every further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait for a peer that never worked.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The longest wait for a peer that worked once or was named by the user: it may come back any time.
const LONGEST_WAIT_PROVEN: Duration = Duration::from_secs(15);
/// Failures after which a peer that never worked is forgotten.
const FAILURES_MAX: u32 = 8;
/// A node that has everything waits longer by this factor: who needs it will come by himself.
const SEED_FACTOR: u32 = 10;
/// Before a peer that can give us nothing and needs nothing is tried again.
const NOTHING_TO_TRADE_WAIT: Duration = Duration::from_secs(900);
/// Before a peer that misbehaved is tried again, if it is not banned.
const OFFENCE_WAIT: Duration = Duration::from_secs(60);

/// Whether we need others or they need us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// We miss pieces.
    Urgent,
    /// We have everything.
    None,
}

/// How a link ended, as far as another try is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It broke after having been of use.
    LostUseful,
    /// It broke before it was of use.
    LostUseless,
    /// There was nothing to trade.
    NothingToTrade,
    /// The peer misbehaved.
    Offence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(Moment),
    Dialing,
    Linked,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    state: State,
    failures: u32,
    /// It worked once, or the user named it.
    proven: bool,
    /// From whose address it was linked last.
    holder: Option<HolderKey>,
}

/// The candidates of one torrent.
#[derive(Clone, Debug)]
pub struct Connections {
    candidates: BTreeMap<PeerKey, Candidate>,
    /// The waiting ones by their time.
    waiting: BTreeSet<(Moment, PeerKey)>,
    dialing: usize,
    linked: usize,
    candidates_max: usize,
}

impl Connections {
    /// No candidates, and never more than `candidates_max`.
    pub fn new(candidates_max: usize) -> Self {
        Self { candidates: BTreeMap::new(), waiting: BTreeSet::new(), dialing: 0, linked: 0, candidates_max }
    }

    /// `source` named `peer`.
    pub fn learn(&mut self, peer: PeerKey, source: Source, need: Need, now: Moment, rng: &mut EngineRng) {
        let named = source == Source::Link;
        if let Some(known) = self.candidates.get_mut(&peer) {
            known.proven |= named;
            return;
        }
        if self.candidates.len() >= self.candidates_max && !self.forget_one() {
            return;
        }
        let wait = match need {
            Need::None if !named => rng.jittered(FIRST_WAIT * SEED_FACTOR),
            _ => Duration::ZERO,
        };
        let candidate = Candidate { state: State::Waiting(now), failures: 0, proven: named, holder: None };
        self.candidates.insert(peer, candidate);
        self.enter(peer, State::Waiting(now + wait));
    }

    /// When the next candidate is due, if one waits.
    pub fn next_at(&self) -> Option<Moment> {
        self.waiting.first().map(|&(at, _)| at)
    }

    /// Takes the next candidate that is due: it is being dialled from now on.
    pub fn take_due(&mut self, now: Moment) -> Option<PeerKey> {
        let &(at, peer) = self.waiting.first()?;
        if at > now {
            return None;
        }
        self.enter(peer, State::Dialing);
        Some(peer)
    }

    /// Candidates known, linked ones included.
    pub fn count(&self) -> usize {
        self.candidates.len()
    }

    /// Links and dials in progress.
    pub fn engaged(&self) -> usize {
        self.dialing + self.linked
    }

    /// A dial came to nothing.
    pub fn on_dial_failed(&mut self, peer: PeerKey, need: Need, now: Moment, rng: &mut EngineRng) {
        // A peer that came to us meanwhile is linked, and stays so.
        if self.candidates.get(&peer).is_some_and(|candidate| candidate.state == State::Dialing) {
            self.retry(peer, need, now, rng);
        }
    }

    /// A dial ended at a peer that does not take part: it is no candidate until it is learnt anew.
    pub fn on_refused(&mut self, peer: PeerKey) {
        // A peer that came to us meanwhile is linked, and stays so.
        if self.candidates.get(&peer).is_some_and(|candidate| candidate.state == State::Dialing) {
            self.forget(peer);
        }
    }

    /// A link came up, from an address of `holder`.
    pub fn on_linked(&mut self, peer: PeerKey, holder: Option<HolderKey>, now: Moment) {
        let candidate = Candidate { state: State::Waiting(now), failures: 0, proven: false, holder };
        self.candidates.entry(peer).or_insert(candidate).holder = holder;
        self.enter(peer, State::Linked);
    }

    /// From whose address `peer` is linked, or was last.
    pub fn holder(&self, peer: PeerKey) -> Option<HolderKey> {
        self.candidates.get(&peer)?.holder
    }

    /// `peer` is found at an address of `holder`, where nobody is linked before `until`; it is not dialled again
    /// earlier.
    pub fn hold(&mut self, peer: PeerKey, holder: HolderKey, until: Moment) {
        let Some(candidate) = self.candidates.get_mut(&peer) else { return };
        if candidate.state != State::Linked {
            candidate.holder = Some(holder);
            self.enter(peer, State::Waiting(until));
        }
    }

    /// The link ended.
    pub fn on_unlinked(
        &mut self,
        peer: PeerKey,
        farewell: Farewell,
        need: Need,
        now: Moment,
        rng: &mut EngineRng,
    ) {
        let Some(candidate) = self.candidates.get_mut(&peer) else { return };
        match farewell {
            Farewell::LostUseful => {
                candidate.proven = true;
                candidate.failures = 0;
                self.retry(peer, need, now, rng);
            }
            Farewell::LostUseless => self.retry(peer, need, now, rng),
            Farewell::NothingToTrade => {
                let wait = rng.jittered(NOTHING_TO_TRADE_WAIT);
                self.enter(peer, State::Waiting(now + wait));
            }
            Farewell::Offence => {
                candidate.failures += 1;
                let wait = rng.jittered(OFFENCE_WAIT);
                self.enter(peer, State::Waiting(now + wait));
            }
        }
    }

    /// We need others again: those who could give us nothing may now.
    pub fn on_need(&mut self, now: Moment) {
        let could_not = |candidate: &Candidate| candidate.failures == 0;
        let waiting: Vec<PeerKey> = self.waiting.iter().map(|(_, peer)| *peer).collect();
        for peer in waiting {
            if self.candidates.get(&peer).is_some_and(could_not) {
                self.enter(peer, State::Waiting(now));
            }
        }
    }

    /// Never dial `peer` again, unless it is learnt anew.
    pub fn forget(&mut self, peer: PeerKey) {
        self.leave(peer);
        self.candidates.remove(&peer);
    }

    /// Dials in progress.
    pub fn dialing(&self) -> usize {
        self.dialing
    }

    fn retry(&mut self, peer: PeerKey, need: Need, now: Moment, rng: &mut EngineRng) {
        let Some(candidate) = self.candidates.get_mut(&peer) else { return };
        let longest = if candidate.proven { LONGEST_WAIT_PROVEN } else { LONGEST_WAIT };
        let factor = if need == Need::None { SEED_FACTOR } else { 1 };
        let wait = (FIRST_WAIT * factor * 2_u32.pow(candidate.failures.min(16))).min(longest * factor);
        candidate.failures += 1;
        if candidate.failures >= FAILURES_MAX && !candidate.proven {
            self.forget(peer);
            return;
        }
        let wait = rng.jittered(wait);
        self.enter(peer, State::Waiting(now + wait));
    }

    /// Makes room by forgetting the candidate that would be dialled last, if it ever failed.
    fn forget_one(&mut self) -> bool {
        let Some(&(_, last)) = self.waiting.last() else { return false };
        let failed = self.candidates.get(&last).is_some_and(|candidate| candidate.failures > 0);
        if failed {
            self.forget(last);
        }
        failed
    }

    fn enter(&mut self, peer: PeerKey, state: State) {
        self.leave(peer);
        match state {
            State::Waiting(at) => {
                self.waiting.insert((at, peer));
            }
            State::Dialing => self.dialing += 1,
            State::Linked => self.linked += 1,
        }
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.state = state;
        }
    }

    /// Undoes what entering the present state did; a state that was never entered leaves no trace.
    fn leave(&mut self, peer: PeerKey) {
        match self.candidates.get(&peer).map(|candidate| candidate.state) {
            Some(State::Waiting(at)) => {
                self.waiting.remove(&(at, peer));
            }
            Some(State::Dialing) => self.dialing -= 1,
            Some(State::Linked) => self.linked -= 1,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
