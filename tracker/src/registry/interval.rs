//! How long until a peer announces again.

use std::time::Duration;

use rand::{Rng, RngExt};

use super::Pace;

/// A swarm younger than this changes fast: its peers come back soon.
const YOUNG: Duration = Duration::from_secs(300);

/// So does one with fewer peers than this.
const SMALL: u32 = 30;

/// Up to this share of the interval is added by chance, so that those who came together do not come back
/// together. Nothing is taken away: libtorrent makes 300 of anything shorter, so that all would meet there.
const JITTER: f64 = 0.2;

/// What common clients make of a shorter interval.
const CLIENTS_SHORTEST_SECS: u32 = 300;

/// Seconds until a peer of a swarm of that age and size should announce again, when the tracker knows
/// `peers` in all.
pub(super) fn interval_secs(
    pace: &Pace,
    rng: &mut impl Rng,
    swarm_age: Duration,
    swarm_peers: u32,
    peers: u64,
) -> u32 {
    let longest = pace.max_interval_secs.max(pace.interval_secs);
    let interval = if swarm_age < YOUNG || swarm_peers < SMALL {
        pace.interval_secs
    } else {
        let by_load = peers / u64::from(pace.announces_per_sec.max(1));
        // Below the longest, there is room to spread those who get it.
        let most = (f64::from(longest) / (1.0 + JITTER)) as u32;
        u32::try_from(by_load).unwrap_or(u32::MAX).min(most).max(pace.interval_secs)
    };
    let factor = 1.0 + rng.random_range(0.0..=JITTER);
    // Saturates, which is as good as any interval that long.
    ((f64::from(interval) * factor) as u32).clamp(1, longest.max(1))
}

/// Seconds that a peer must wait whatever happens, when it was told to come back after `interval_secs`. They
/// grow with the load as that does, since some clients wait no longer; but nobody needs to miss an announce.
pub(super) fn min_interval_secs(pace: &Pace, interval_secs: u32) -> u32 {
    let by_load =
        u64::from(pace.min_interval_secs) * u64::from(interval_secs) / u64::from(pace.interval_secs.max(1));
    u32::try_from(by_load).unwrap_or(u32::MAX).min(interval_secs / 2)
}

/// How long a peer stays listed that was told to come back after `interval_secs`: it may miss one announce,
/// and be late.
pub(super) fn lifetime(interval_secs: u32) -> Duration {
    const LATE: Duration = Duration::from_secs(60);
    2 * Duration::from_secs(interval_secs.max(CLIENTS_SHORTEST_SECS).into()) + LATE
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn average(swarm_age_secs: u64, swarm_peers: u32, peers: u64) -> u32 {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let age = Duration::from_secs(swarm_age_secs);
        let mut draw = || interval_secs(&Pace::default(), &mut rng, age, swarm_peers, peers);
        let sum: u32 = (0..1000).map(|_| draw()).sum();
        sum / 1000
    }

    #[test]
    fn young_and_small_swarms_come_back_soon_whatever_the_load() {
        assert!((320..=340).contains(&average(10, 100, 10_000_000)));
        assert!((320..=340).contains(&average(10_000, 29, 10_000_000)));
    }

    #[test]
    fn intervals_grow_with_the_load_up_to_the_longest() {
        assert!((320..=340).contains(&average(10_000, 100, 1_000)));
        assert!((650..=670).contains(&average(10_000, 100, 300_000)));
        assert!((1640..=1660).contains(&average(10_000, 100, 100_000_000)));
    }

    fn least_and_most(swarm_age_secs: u64, peers: u64) -> (u32, u32) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let age = Duration::from_secs(swarm_age_secs);
        let draws: Vec<_> =
            (0..1000).map(|_| interval_secs(&Pace::default(), &mut rng, age, 100, peers)).collect();
        (*draws.iter().min().unwrap(), *draws.iter().max().unwrap())
    }

    #[test]
    fn intervals_are_spread_but_never_shorter_than_clients_make_them() {
        let (least, most) = least_and_most(0, 1);
        assert!((300..=305).contains(&least) && (355..=360).contains(&most), "{least} to {most}");
    }

    #[test]
    fn the_longest_intervals_are_spread_too() {
        let (least, most) = least_and_most(10_000, 100_000_000);
        assert!((1500..=1510).contains(&least) && (1790..=1800).contains(&most), "{least} to {most}");
    }

    #[test]
    fn the_least_wait_grows_with_the_interval_up_to_half_of_it() {
        let pace = Pace::default();
        assert_eq!([300, 600, 1800].map(|secs| min_interval_secs(&pace, secs)), [30, 60, 180]);
        let strict = Pace { min_interval_secs: 250, ..pace };
        assert_eq!([300, 600, 1800].map(|secs| min_interval_secs(&strict, secs)), [150, 300, 900]);
        let careless = Pace { interval_secs: 0, min_interval_secs: u32::MAX, ..pace };
        assert_eq!([1, u32::MAX].map(|secs| min_interval_secs(&careless, secs)), [0, u32::MAX / 2]);
    }

    #[test]
    fn an_operator_may_ask_for_shorter_intervals_and_slow_clients_stay_listed() {
        let pace = Pace { interval_secs: 60, ..Pace::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert!((60..=72).contains(&interval_secs(&pace, &mut rng, Duration::ZERO, 1, 1)));
        assert_eq!(lifetime(60), Duration::from_secs(660));
    }
}
