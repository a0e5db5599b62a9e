//! How fast we give, and to how many peers at once.

use std::time::Duration;

use samara_proto::moment::Moment;

use super::config::EngineConfig;
use super::rate::{Meter, Peak};

/// Over how long the rate is taken: a few turns on a fast uplink, and some blocks on a slow one.
const WINDOW: Duration = Duration::from_secs(4);
/// The rate that was reached is forgotten by one in so many with every block.
const FADE: u64 = 1024;
/// An uplink of so many bytes a second or fewer serves the fewest peers.
const SLOW: u64 = 128 * 1024;
/// How many peers are served before the rate is known.
const SLOTS_AT_FIRST: usize = 8;
/// The rate is known when blocks have left for so long.
const KNOWN_AFTER: Duration = Duration::from_secs(1);

/// What the node gives over all links.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// Since when blocks leave, and how many.
    rate: Option<(Moment, Meter)>,
    /// The highest rate lately, in bytes a second; 0 until it is known. An uplink that nobody wants anything of
    /// is as fast as it was.
    reached: Peak,
}

impl Default for Uplink {
    fn default() -> Self {
        Self { rate: None, reached: Peak::new(FADE) }
    }
}

impl Uplink {
    /// A block of so many bytes left.
    pub fn on_sent(&mut self, now: Moment, bytes: u32) {
        let (since, rate) = self.rate.get_or_insert_with(|| (now, Meter::new(now, WINDOW)));
        rate.add(now, bytes);
        if *since + KNOWN_AFTER <= now {
            self.reached.note(rate.rate(now));
        }
    }

    /// How many peers to serve at once: two more each time the rate doubles. With few a piece arrives, and can be
    /// passed on, soon; with many a downlink that takes less than its share leaves nothing of the uplink unused.
    pub fn slots(&self, config: &EngineConfig) -> usize {
        let (fewest, most) = (*config.upload_slots.start(), *config.upload_slots.end());
        let slots = match self.reached.rate() {
            0 => SLOTS_AT_FIRST,
            reached => {
                // Twice the logarithm is the logarithm of the square.
                let square = u128::from(reached).pow(2) / u128::from(SLOW).pow(2);
                fewest + square.checked_ilog2().unwrap_or(0) as usize
            }
        };
        slots.max(fewest).min(most)
    }

    /// What one slot gives, in bytes a second; 0 if that is not known yet.
    pub fn slot_rate(&self, config: &EngineConfig) -> u64 {
        self.reached.rate() / self.slots(config).max(1) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(reached: u64) -> Uplink {
        let mut uplink = Uplink::default();
        uplink.reached.note(reached);
        uplink
    }

    #[test]
    fn slots_grow_with_the_logarithm_of_the_rate_between_the_bounds() {
        let config = EngineConfig::default();
        let slots = |megabits: u64| reached(megabits * 125_000).slots(&config);
        assert_eq!([1, 2, 10, 50, 1000].map(slots), [4, 5, 10, 15, 23]);
        assert_eq!(reached(u64::MAX).slots(&config), *config.upload_slots.end());
        assert_eq!(Uplink::default().slots(&config), SLOTS_AT_FIRST);
        assert_eq!(Uplink::default().slots(&EngineConfig { upload_slots: 0..=0, ..config }), 0);
    }

    #[test]
    fn a_pause_changes_nothing_and_a_slower_uplink_is_noticed() {
        let config = EngineConfig::default();
        let mut uplink = Uplink::default();
        let mut send = |from: u64, to: u64, step: usize| {
            for millis in (from..to).step_by(step) {
                uplink.on_sent(Moment::from_micros(millis * 1000), 16 * 1024);
            }
            uplink.slot_rate(&config)
        };
        let fast = send(0, 10_000, 4);
        assert!((200_000..350_000).contains(&fast), "{fast}");
        let resumed = send(60_000, 61_000, 4);
        assert!(resumed > fast * 3 / 4, "{resumed}");
        let slow = send(61_000, 361_000, 64);
        assert!((40_000..60_000).contains(&slow), "{slow}");
    }
}
