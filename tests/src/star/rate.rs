//! The rate of a link, as links are sold: megabits a second, millions of bits.

use std::fmt;
use std::str::FromStr;

/// Below this a link does not carry one packet of a transfer in a second's fraction.
const LOWEST_BITS: u64 = 64_000;
/// Above this one machine cannot pretend to be several.
const HIGHEST_BITS: u64 = 10_000_000_000;

/// How much a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    bits_per_second: u64,
}

impl Rate {
    /// So many millions of bits a second, kept within what a link here can be.
    pub fn megabits(megabits: f64) -> Self {
        Self { bits_per_second: ((megabits * 1e6).round() as u64).clamp(LOWEST_BITS, HIGHEST_BITS) }
    }

    /// Bits a second.
    pub fn bits_per_second(self) -> u64 {
        self.bits_per_second
    }

    /// Bytes a second.
    pub fn bytes_per_second(self) -> f64 {
        self.bits_per_second as f64 / 8.0
    }

    /// Millions of bits a second.
    pub fn in_megabits(self) -> f64 {
        self.bits_per_second as f64 / 1e6
    }

    /// This times `part` / `whole`.
    pub fn share(self, part: u32, whole: u32) -> Self {
        Self::megabits(self.in_megabits() * f64::from(part) / f64::from(whole))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let megabits: f64 = text.parse().map_err(|_| "a rate is a number of Mbit/s, such as 50 or 2.5")?;
        let range = LOWEST_BITS as f64 / 1e6..=HIGHEST_BITS as f64 / 1e6;
        if !range.contains(&megabits) {
            return Err(format!("a rate lies between {} and {} Mbit/s", range.start(), range.end()));
        }
        Ok(Self::megabits(megabits))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Mbit/s", self.in_megabits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_in_megabits_and_nonsense_is_refused() {
        assert_eq!("50".parse::<Rate>().unwrap().bytes_per_second(), 6_250_000.0);
        assert_eq!("2.5".parse::<Rate>().unwrap().bits_per_second(), 2_500_000);
        for nonsense in ["", "fast", "0", "-1", "nan", "inf", "1e9"] {
            assert!(nonsense.parse::<Rate>().is_err(), "{nonsense}");
        }
    }
}
