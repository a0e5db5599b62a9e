//! When a torrent is looked up in the DHT, and when it is announced there; pure.

use std::time::Duration;

use samara_proto::moment::Moment;

/// First wait of a torrent without peers before it is looked up again; doubled each time.
const LONELY_FIRST: Duration = Duration::from_secs(2);
/// The longest such wait of somebody who needs content.
const LONELY_LONGEST: Duration = Duration::from_secs(300);
/// First wait of a swarm that is fine, doubled each time: those who came with us are found by the DHT too
/// before long, and then it is known that nobody depends on the tracker.
const CALM_FIRST: Duration = Duration::from_secs(4);
/// Longest wait of a swarm that is fine: so that who can be found is seen to be within the half hour that counts.
const CALM: Duration = Duration::from_secs(600);
/// A chance part of waits, so that a swarm does not ask in step.
const JITTER: Duration = Duration::from_secs(300);
/// Wait until what was announced is announced again: two or three times before it is forgotten.
const ANNOUNCE: Duration = Duration::from_secs(20 * 60);
/// First wait after an announce reached nobody; doubled each time.
const ANNOUNCE_RETRY: Duration = Duration::from_secs(5);
/// Least time between two announces, however fast the DHT grows.
const ANNOUNCE_GAP: Duration = Duration::from_secs(5);

/// What a torrent is taken part in for, as far as the DHT is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Content or metainfo is missing, and no peer is linked.
    Lonely,
    /// Peers are linked, or nothing is missing: others come to us.
    Fine,
}

/// One torrent's times.
#[derive(Clone, Debug)]
pub struct Pace {
    looking_up: bool,
    looked_up: Option<Moment>,
    lonely_wait: Duration,
    calm_wait: Duration,
    announcing: bool,
    announced: Option<Moment>,
    announce_wait: Duration,
    announce_failures: u32,
    /// Nodes in our routing table when it was announced last.
    nodes_then: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            looking_up: false,
            looked_up: None,
            lonely_wait: LONELY_FIRST,
            calm_wait: CALM_FIRST,
            announcing: false,
            announced: None,
            announce_wait: ANNOUNCE,
            announce_failures: 0,
            nodes_then: 0,
        }
    }
}

impl Pace {
    /// Whether it is time to look the torrent up.
    pub fn is_lookup_due(&self, now: Moment, need: Need) -> bool {
        let wait = match need {
            Need::Lonely => self.lonely_wait,
            Need::Fine => self.calm_wait,
        };
        !self.looking_up && self.looked_up.is_none_or(|at| now.since(at) >= wait)
    }

    /// A lookup began.
    pub fn on_lookup(&mut self) {
        self.looking_up = true;
    }

    /// A lookup ended; `chance` is from 0 to 1.
    pub fn on_looked_up(&mut self, now: Moment, need: Need, chance: f64) {
        let is_first = self.looked_up.is_none();
        self.looking_up = false;
        self.looked_up = Some(now);
        self.calm_wait = match is_first {
            true => CALM_FIRST,
            false if self.calm_wait * 2 < CALM => self.calm_wait * 2,
            false => CALM + JITTER.mul_f64(chance),
        };
        self.lonely_wait = match need {
            Need::Lonely if !is_first => (self.lonely_wait * 2).min(LONELY_LONGEST),
            _ => LONELY_FIRST,
        };
    }

    /// Where we can be dialled changed: what was announced is not true any more.
    pub fn on_moved(&mut self) {
        self.announce_wait = ANNOUNCE_GAP;
    }

    /// Whether it is time to announce the torrent, with so many `nodes` in our routing table: also when the
    /// DHT, as far as we see it, is twice what it was.
    pub fn is_announce_due(&self, now: Moment, nodes: usize) -> bool {
        if self.announcing || nodes == 0 {
            return false;
        }
        let Some(since) = self.announced.map(|at| now.since(at)) else { return true };
        since >= self.announce_wait || (since >= ANNOUNCE_GAP && nodes >= 2 * self.nodes_then)
    }

    /// An announce began.
    pub fn on_announce(&mut self, nodes: usize) {
        self.announcing = true;
        self.nodes_then = nodes;
    }

    /// An announce ended that `reached` so many nodes; `chance` is from 0 to 1.
    pub fn on_announced(&mut self, now: Moment, reached: usize, chance: f64) {
        self.announcing = false;
        self.announced = Some(now);
        if reached > 0 {
            self.announce_failures = 0;
            self.announce_wait = ANNOUNCE + JITTER.mul_f64(chance);
        } else {
            self.announce_wait = (ANNOUNCE_RETRY * (1 << self.announce_failures.min(10))).min(ANNOUNCE);
            self.announce_failures += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(secs)
    }

    /// Seconds at which a torrent is looked up in an hour if its need stays the same.
    fn lookups(need: Need) -> Vec<u64> {
        let mut pace = Pace::default();
        let mut times = Vec::new();
        for secs in 0..3600 {
            if pace.is_lookup_due(at(secs), need) {
                pace.on_lookup();
                times.push(secs);
                pace.on_looked_up(at(secs), need, 0.5);
            }
        }
        times
    }

    #[test]
    fn the_lonely_look_often_at_first_and_then_less_and_less() {
        let times = lookups(Need::Lonely);
        assert_eq!(times[..6], [0, 2, 6, 14, 30, 62]);
        assert!(times.len() < 25, "{times:?}");
        let last: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(last.last(), Some(&LONELY_LONGEST.as_secs()));
    }

    #[test]
    fn a_swarm_that_is_fine_is_looked_up_often_enough_to_count_as_findable() {
        let times = lookups(Need::Fine);
        assert_eq!(times, [0, 4, 12, 28, 60, 124, 252, 508, 1020, 1770, 2520, 3270]);
    }

    #[test]
    fn whoever_loses_its_peers_looks_at_once() {
        let mut pace = Pace::default();
        for (secs, need) in [(0, Need::Lonely), (2, Need::Lonely), (6, Need::Lonely), (14, Need::Fine)] {
            pace.on_lookup();
            assert!(!pace.is_lookup_due(at(secs), need), "one at a time");
            pace.on_looked_up(at(secs), need, 0.0);
        }
        assert!(!pace.is_lookup_due(at(20), Need::Fine));
        assert!(pace.is_lookup_due(at(20), Need::Lonely));
    }

    #[test]
    fn announces_begin_when_there_is_somebody_to_tell_and_come_again_before_they_are_forgotten() {
        let mut pace = Pace::default();
        assert!(!pace.is_announce_due(at(0), 0), "nobody to tell");
        assert!(pace.is_announce_due(at(0), 1));
        pace.on_announce(1);
        assert!(!pace.is_announce_due(at(0), 1), "one at a time");
        pace.on_announced(at(0), 1, 1.0);
        assert!(!pace.is_announce_due(at(1499), 1));
        assert!(pace.is_announce_due(at(1500), 1));
    }

    #[test]
    fn an_announce_that_reached_nobody_is_soon_tried_again_and_less_and_less() {
        let mut pace = Pace::default();
        let mut secs = 0;
        for wait in [5, 10, 20, 40] {
            assert!(pace.is_announce_due(at(secs), 1), "at {secs} s");
            pace.on_announce(1);
            pace.on_announced(at(secs), 0, 0.0);
            assert!(!pace.is_announce_due(at(secs + wait - 1), 1), "at {secs} s");
            secs += wait;
        }
    }

    #[test]
    fn a_dht_that_has_doubled_is_told_again_but_not_in_a_hurry() {
        let mut pace = Pace::default();
        pace.on_announce(1);
        pace.on_announced(at(0), 1, 0.0);
        assert!(!pace.is_announce_due(at(4), 2), "too soon");
        assert!(pace.is_announce_due(at(5), 2));
        pace.on_announce(20);
        pace.on_announced(at(5), 20, 0.0);
        assert!(!pace.is_announce_due(at(100), 39));
        assert!(pace.is_announce_due(at(100), 40));
    }
}
