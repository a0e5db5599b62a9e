//! Chance as a field: one seeded stream from which every random choice of the engine is drawn.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// The engine's source of chance; equal seeds give equal runs.
#[derive(Clone, Debug)]
pub struct EngineRng(ChaCha8Rng);

impl EngineRng {
    /// The stream that `rng_seed` names.
    pub fn new(rng_seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(rng_seed))
    }

    /// A number below `bound`; 0 if `bound` is 0.
    ///
    /// Scaling a 32-bit draw favours some numbers by less than `bound` / 2³², which no choice here can feel.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// An index into a sequence of `len` items; 0 if there are none.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(u32::try_from(len).unwrap_or(u32::MAX)) as usize
    }

    /// `wait`, made longer by up to a quarter, so that many nodes do not act in step.
    pub fn jittered(&mut self, wait: Duration) -> Duration {
        wait + wait * self.below(1 << 16) / (4 << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_streams() {
        let draw = |seed| {
            let mut rng = EngineRng::new([seed; 32]);
            (0..50).map(|_| rng.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_every_value() {
        let mut rng = EngineRng::new([7; 32]);
        let mut seen = [false; 6];
        for _ in 0..1000 {
            seen[rng.index(6)] = true;
        }
        assert_eq!(seen, [true; 6]);
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn jitter_adds_at_most_a_quarter() {
        let mut rng = EngineRng::new([3; 32]);
        let wait = Duration::from_secs(4);
        for _ in 0..1000 {
            let jittered = rng.jittered(wait);
            assert!(jittered >= wait && jittered <= wait + wait / 4);
        }
    }
}
