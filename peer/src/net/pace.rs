//! How much may wait somewhere: what leaves from there in a given time, by what left lately.

use std::time::{Duration, Instant};

/// Over how long the rate is measured, at least.
const WINDOW: Duration = Duration::from_millis(100);

/// The time that is covered, within bounds in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Cover {
    /// What waits lasts so long.
    pub(in crate::net) time: Duration,
    /// Least that may wait, however slow it is.
    pub(in crate::net) least: usize,
    /// Most that may wait, however fast it is.
    pub(in crate::net) most: usize,
}

/// Measures what leaves.
#[derive(Debug)]
pub(in crate::net) struct Pace {
    cover: Cover,
    since: Instant,
    bytes: usize,
}

impl Pace {
    /// Nothing has left yet.
    pub(in crate::net) fn new(cover: Cover, now: Instant) -> Self {
        Self { cover, since: now, bytes: 0 }
    }

    /// So many bytes left; gives what may wait from now on once enough was measured.
    pub(in crate::net) fn on_left(&mut self, now: Instant, bytes: usize) -> Option<usize> {
        self.bytes += bytes;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < WINDOW {
            return None;
        }
        let covered = self.bytes as f64 * self.cover.time.as_secs_f64() / elapsed.as_secs_f64();
        (self.since, self.bytes) = (now, 0);
        Some((covered as usize).clamp(self.cover.least, self.cover.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_wait_lasts_as_long_at_any_rate_within_its_bounds() {
        let cover = Cover { time: Duration::from_millis(40), least: 32 << 10, most: 1 << 20 };
        let at_rate = |rate: usize| {
            let start = Instant::now();
            let mut pace = Pace::new(cover, start);
            let at = |millis| start + Duration::from_millis(millis);
            (1..=1000)
                .filter_map(|millis| pace.on_left(at(millis), rate / 1000))
                .last()
                .expect("it is measured")
        };
        assert_eq!(at_rate(100_000), cover.least);
        assert!((390_000..=410_000).contains(&at_rate(10_000_000)), "{}", at_rate(10_000_000));
        assert_eq!(at_rate(1_000_000_000), cover.most);
    }
}
