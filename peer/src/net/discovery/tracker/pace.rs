//! How long to wait until the next announce; pure.

use std::time::Duration;

use rand::{Rng, RngExt};
use samara_proto::announce::http::RetryIn;

use super::ClientError;

/// First wait after a tracker failed; doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// Longest wait after a tracker failed, unless it asks for more.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(300);
/// Never ask sooner than this, whatever the tracker allows.
const INTERVAL_FLOOR: Duration = Duration::from_secs(5);
/// Never wait longer than this, whatever the tracker asks for: by then its operator has changed his mind.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);
/// A tracker that names no peers of use is looked at again after this long: it may have been replaced.
const USELESS_WAIT: Duration = Duration::from_secs(3600);
/// A swarm that needs the tracker asks this many times as often as the tracker wants at the least, if the
/// tracker allows it.
const NEED: u32 = 4;

/// How long to wait until the next announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// While the tracker is the only way to find peers.
    needed: Duration,
    /// When it could vanish: the longest wait it asks for.
    longest: Duration,
    /// The least, for a leech that has nobody.
    pub(super) lonely: Duration,
}

impl Pace {
    /// What a tracker asks for.
    pub(super) fn asked_for(interval_secs: u32, min_interval_secs: Option<u32>) -> Self {
        let seconds = |secs: u32| Duration::from_secs(secs.into()).min(INTERVAL_MAX);
        let lonely = seconds(min_interval_secs.unwrap_or(0)).max(INTERVAL_FLOOR);
        let longest = seconds(interval_secs).max(lonely);
        // Coming back early is welcome only where the tracker says how early.
        let needed = if min_interval_secs.is_some() { (longest / NEED).max(lonely) } else { longest };
        Self { needed, longest, lonely }
    }

    /// However things are.
    pub(super) fn after(wait: Duration) -> Self {
        Self { needed: wait, longest: wait, lonely: wait }
    }

    /// The wait of a swarm with so much autonomy.
    pub(super) fn wait(&self, autonomy_permille: u64) -> Duration {
        let share = autonomy_permille.min(1000) as f64 / 1000.0;
        self.needed + self.longest.saturating_sub(self.needed).mul_f64(share)
    }

    /// The wait of whoever gets nothing from this tracker.
    pub(super) fn useless(&self) -> Duration {
        self.longest.max(USELESS_WAIT)
    }

    /// Ten percent more or less, so that a swarm does not announce in step.
    pub(super) fn jittered(self, rng: &mut impl Rng) -> Self {
        let factor = rng.random_range(0.9..1.1);
        Self { needed: self.needed.mul_f64(factor), longest: self.longest.mul_f64(factor), ..self }
    }
}

/// How long a tracker is left alone that has failed for so many times in a row: as long as it asks for, or ever
/// longer. Chance adds to it, so that a swarm does not come back in step either.
pub(super) fn retry_wait(error: &ClientError, failures: u32, rng: &mut impl Rng) -> Duration {
    let wait = match (error, error.retry_in()) {
        (ClientError::Unusable(_), _) | (_, Some(RetryIn::Never)) => INTERVAL_MAX,
        (_, Some(RetryIn::Minutes(minutes))) => Duration::from_secs(60 * u64::from(minutes.max(1))),
        (_, None) => RETRY_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(RETRY_MAX),
    };
    wait.min(INTERVAL_MAX).mul_f64(rng.random_range(1.0..1.2))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use samara_proto::announce::http::{AnswerError, Failure};

    use super::*;

    #[test]
    fn the_less_a_swarm_needs_its_tracker_the_less_it_asks() {
        let secs = |pace: Pace, permille| pace.wait(permille).as_secs();
        let pace = Pace::asked_for(1800, Some(60));
        assert_eq!([0, 500, 1000, 5000].map(|permille| secs(pace, permille)), [450, 1125, 1800, 1800]);
        let strict = Pace::asked_for(1800, Some(900));
        assert_eq!([0, 1000].map(|permille| secs(strict, permille)), [900, 1800]);
        let silent = Pace::asked_for(1800, None);
        assert_eq!([0, 1000].map(|permille| secs(silent, permille)), [1800, 1800]);
        let hasty = Pace::asked_for(0, None);
        assert_eq!(secs(hasty, 0), INTERVAL_FLOOR.as_secs());
    }

    #[test]
    fn a_tracker_that_asks_for_hours_gets_them_and_no_more_than_a_day() {
        assert_eq!(Pace::asked_for(30_000, None).wait(0).as_secs(), 30_000);
        assert_eq!(Pace::asked_for(u32::MAX, Some(u32::MAX)).wait(0), INTERVAL_MAX);
    }

    /// The shortest and the longest wait that chance makes, in seconds.
    fn waits(error: &ClientError, failures: u32) -> (u64, u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let waits = (0..1000).map(|_| retry_wait(error, failures, &mut rng).as_secs());
        let waits: Vec<u64> = waits.collect();
        (*waits.iter().min().unwrap(), *waits.iter().max().unwrap())
    }

    fn refused(retry_in: Option<RetryIn>) -> ClientError {
        ClientError::Answer(AnswerError::Refused(Failure { reason: "no".to_owned(), retry_in }))
    }

    #[test]
    fn waits_after_failures_double_up_to_five_minutes() {
        for error in [ClientError::TooLong, refused(None)] {
            let waits = [1, 2, 4, 20, u32::MAX].map(|failures| waits(&error, failures));
            assert_eq!(waits, [(2, 2), (4, 4), (16, 19), (300, 359), (300, 359)]);
        }
    }

    #[test]
    fn a_tracker_that_says_when_to_come_back_is_left_alone_so_long() {
        assert_eq!(waits(&refused(Some(RetryIn::Minutes(30))), 1), (1800, 2159));
        assert_eq!(waits(&refused(Some(RetryIn::Minutes(0))), 9), (60, 71));
        let day = INTERVAL_MAX.as_secs();
        for retry_in in [RetryIn::Never, RetryIn::Minutes(u32::MAX)] {
            let (shortest, longest) = waits(&refused(Some(retry_in)), 1);
            assert!(day <= shortest && longest < day * 6 / 5, "{shortest} to {longest}");
        }
        assert!(waits(&ClientError::Unusable("no URL".to_owned()), 1).0 >= day);
    }
}
