//! Time as an argument: a point on the driver's monotonic clock.

use std::ops::{Add, AddAssign};
use std::time::Duration;

/// Microseconds since an epoch that the driver chose, usually its own start.
///
/// Only differences mean anything. The pure parts receive a `Moment` with every call that depends on
/// time and never ask for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    micros: u64,
}

impl Moment {
    /// The driver's epoch.
    pub const ZERO: Self = Self { micros: 0 };

    /// The moment `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.micros
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros.saturating_sub(earlier.micros))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Saturates at the end of time, about 584,000 years after the epoch.
    fn add(self, wait: Duration) -> Self {
        let wait_micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Self { micros: self.micros.saturating_add(wait_micros) }
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, wait: Duration) {
        *self = *self + wait;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_to_a_later_moment_is_zero() {
        let early = Moment::from_micros(5);
        let late = early + Duration::from_micros(7);
        assert_eq!(late.since(early), Duration::from_micros(7));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn adding_saturates() {
        let mut end = Moment::from_micros(u64::MAX - 1);
        end += Duration::MAX;
        assert_eq!(end.as_micros(), u64::MAX);
    }
}
