//! Bytes a second over a sliding window, in whole numbers so that every machine computes the same.

use std::time::Duration;

use samara_proto::moment::Moment;

const BUCKETS: usize = 10;

/// Counts bytes and forgets them once they are older than its window.
#[derive(Clone, Debug)]
pub struct Meter {
    /// One tenth of the window.
    bucket_micros: u64,
    buckets: [u64; BUCKETS],
    /// The number of the bucket that is being filled, counted from the epoch.
    newest: u64,
    in_window: u64,
    started: Moment,
    total: u64,
}

impl Meter {
    /// A meter that starts to count at `now` and remembers `window`.
    pub fn new(now: Moment, window: Duration) -> Self {
        let bucket_micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX) / BUCKETS as u64;
        let bucket_micros = bucket_micros.max(1);
        Self {
            bucket_micros,
            buckets: [0; BUCKETS],
            newest: now.as_micros() / bucket_micros,
            in_window: 0,
            started: now,
            total: 0,
        }
    }

    /// Counts `bytes` at `now`.
    pub fn add(&mut self, now: Moment, bytes: u32) {
        self.advance(now);
        self.buckets[(self.newest % BUCKETS as u64) as usize] += u64::from(bytes);
        self.in_window += u64::from(bytes);
        self.total += u64::from(bytes);
    }

    /// Everything counted so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes within the window that ends at `now`.
    pub fn in_window(&self, now: Moment) -> u64 {
        let current = now.as_micros() / self.bucket_micros;
        let stale = current.saturating_sub(self.newest).min(BUCKETS as u64);
        let forgotten: u64 =
            (1..=stale).map(|n| self.buckets[((self.newest + n) % BUCKETS as u64) as usize]).sum();
        self.in_window - forgotten
    }

    /// Bytes a second at `now`: over the window, or over the meter's whole life if that is shorter.
    pub fn rate(&self, now: Moment) -> u64 {
        // The bucket being filled covers only part of its time.
        let into_bucket = now.as_micros() % self.bucket_micros;
        let covered = self.bucket_micros * (BUCKETS as u64 - 1) + into_bucket;
        let age = now.as_micros().saturating_sub(self.started.as_micros());
        let span = covered.min(age).max(self.bucket_micros);
        let rate = u128::from(self.in_window(now)) * 1_000_000 / u128::from(span);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    fn advance(&mut self, now: Moment) {
        let current = now.as_micros() / self.bucket_micros;
        let stale = current.saturating_sub(self.newest);
        if stale >= BUCKETS as u64 {
            self.buckets = [0; BUCKETS];
            self.in_window = 0;
        } else {
            for n in 1..=stale {
                let bucket = &mut self.buckets[((self.newest + n) % BUCKETS as u64) as usize];
                self.in_window -= *bucket;
                *bucket = 0;
            }
        }
        self.newest = self.newest.max(current);
    }
}

/// The highest rate lately, in bytes a second: what a flow can be, whatever it is just now. A pause changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    rate: u64,
    fade: u64,
}

impl Peak {
    /// Nothing is known yet. What was reached is forgotten by one in `fade` with every rate that is noted.
    pub fn new(fade: u64) -> Self {
        Self { rate: 0, fade }
    }

    /// The rate is `rate` now.
    pub fn note(&mut self, rate: u64) {
        self.rate = rate.max(self.rate - self.rate / self.fade);
    }

    /// What was reached; 0 until anything was noted.
    pub fn rate(self) -> u64 {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_millis(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    #[test]
    fn a_steady_flow_is_measured_exactly_enough() {
        let mut meter = Meter::new(Moment::ZERO, Duration::from_secs(1));
        for millis in 0..5000 {
            meter.add(at_millis(millis), 1000);
        }
        let rate = meter.rate(at_millis(5000));
        assert!((950_000..=1_050_000).contains(&rate), "{rate}");
        assert_eq!(meter.total(), 5_000_000);
    }

    #[test]
    fn a_young_meter_divides_by_its_age() {
        let mut meter = Meter::new(at_millis(1000), Duration::from_secs(20));
        meter.add(at_millis(3000), 8_000_000);
        let rate = meter.rate(at_millis(5000));
        assert_eq!(rate, 2_000_000);
    }

    #[test]
    fn silence_brings_the_rate_to_zero() {
        let mut meter = Meter::new(Moment::ZERO, Duration::from_secs(1));
        meter.add(at_millis(10), 5000);
        assert!(meter.rate(at_millis(500)) > 0);
        assert_eq!(meter.rate(at_millis(1200)), 0);
        assert_eq!(meter.in_window(at_millis(60_000)), 0);
        meter.add(at_millis(60_000), 70);
        assert_eq!(meter.in_window(at_millis(60_000)), 70);
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let mut meter = Meter::new(at_millis(5000), Duration::from_secs(1));
        meter.add(at_millis(5000), 10);
        meter.add(at_millis(1), 10);
        assert_eq!(meter.in_window(at_millis(1)), 20);
    }
}
