//! A world to be run: who is in it, what befalls it, and how long it may take.

use std::time::Duration;

use samara_peer::engine::config::{EngineConfig, Order};
use samara_proto::limits::BLOCK_LENGTH;

use super::disk::Shape;
use super::host::{HostSpec, MBIT};
use super::script::Step;
use super::world::Settings;

/// What may be chosen about a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Leeches, liars and those who come later included.
    pub leeches: u32,
    /// Pieces.
    pub pieces: u32,
    /// Bytes of a piece: a multiple of 16 KiB.
    pub piece_length: u32,
    /// Megabits a second that the seed sends.
    pub seed_up: f64,
    /// Megabits a second that a leech sends.
    pub up: f64,
    /// Megabits a second that a leech receives.
    pub down: f64,
    /// One way between two hosts.
    pub latency: Duration,
    /// Chance adds up to this to a latency.
    pub jitter: Duration,
    /// What lower layers add to every thousand bytes.
    pub overhead: u32,
    /// Bytes of the kernel buffer below the engine.
    pub socket_bytes: u32,
    /// Bytes under way on one link, at least.
    pub window_bytes: u32,
    /// The torrent is v2.
    pub v2: bool,
    /// Whose turn it is next.
    pub order: Order,
    /// Names the run.
    pub rng_seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            leeches: 8,
            pieces: 1024,
            piece_length: 16 * BLOCK_LENGTH,
            seed_up: 50.0,
            up: 50.0,
            down: 50.0,
            latency: Duration::from_millis(5),
            jitter: Duration::ZERO,
            overhead: 0,
            socket_bytes: 4 * BLOCK_LENGTH,
            window_bytes: 8 * BLOCK_LENGTH,
            v2: false,
            order: Order::default(),
            rng_seed: 1,
        }
    }
}

/// Leeches start within this time of each other: so do processes on real machines.
const START_SPREAD: Duration = Duration::from_millis(100);
/// The seed is there before the first leech.
pub const SEED_LEAD: Duration = Duration::from_millis(500);

impl Params {
    /// Pieces and their length.
    pub fn shape(&self) -> Shape {
        Shape { pieces: self.pieces, piece_length: self.piece_length }
    }

    /// Bytes of the content.
    pub fn bytes(&self) -> f64 {
        self.shape().bytes() as f64
    }

    /// A small world is looked at more closely than a large one can be.
    pub fn settings(&self) -> Settings {
        // Every message of a run that takes no more than a second or so can be decoded.
        let is_small = u64::from(self.leeches) * u64::from(self.pieces) <= 1 << 14;
        Settings {
            shape: self.shape(),
            rng_seed: self.rng_seed,
            v2: self.v2,
            socket_bytes: self.socket_bytes,
            window_bytes: self.window_bytes,
            overhead: self.overhead,
            jitter: self.jitter,
            decode_every: if is_small { 1 } else { 64 },
            inspect_every: if is_small { 16 } else { 4096 },
            tracker_peers: 50,
            gossip: true,
        }
    }

    /// The seed.
    pub fn seed(&self) -> HostSpec {
        let delay = self.latency / 2;
        HostSpec {
            up: self.seed_up,
            down: self.seed_up.max(self.down),
            delay,
            config: self.config(),
            ..HostSpec::seed(self.seed_up)
        }
    }

    fn config(&self) -> EngineConfig {
        EngineConfig { order: self.order, ..EngineConfig::default() }
    }

    /// Leech number `number` of a crowd.
    pub fn leech(&self, number: u32) -> HostSpec {
        // Spread by a fixed pattern that no order of numbers shows.
        let spread = number.wrapping_mul(0x9e37_79b9) >> 16;
        HostSpec {
            up: self.up,
            down: self.down,
            delay: self.latency / 2,
            start: SEED_LEAD + START_SPREAD * spread / (1 << 16),
            config: self.config(),
            ..HostSpec::leech(self.up)
        }
    }

    /// The seed, and a crowd of leeches.
    pub fn crowd(&self) -> Vec<HostSpec> {
        std::iter::once(self.seed()).chain((0..self.leeches).map(|number| self.leech(number))).collect()
    }
}

/// A world to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What holds for all.
    pub settings: Settings,
    /// Who takes part.
    pub hosts: Vec<HostSpec>,
    /// What befalls them.
    pub script: Vec<(Duration, Step)>,
    /// When the last fault is over, if there are any: from then on counts how long it takes.
    pub faults_end: Option<Duration>,
    /// The least time it can take in theory.
    pub bound: Duration,
    /// Everybody who must has everything by then.
    pub limit: Duration,
}

impl Plan {
    /// Hosts to whom nothing befalls.
    pub fn calm(params: &Params, hosts: Vec<HostSpec>) -> Self {
        let bound = bound(params.bytes(), &hosts);
        Self {
            settings: params.settings(),
            hosts,
            script: Vec::new(),
            faults_end: None,
            bound,
            limit: bound * 10 + Duration::from_secs(120),
        }
    }
}

/// The fluid bound of Kumar and Ross for honest leeches that all start at once:
/// max{F/u_s, F/d_min, N·F/(u_s+Σu_i)}.
pub fn bound(bytes: f64, hosts: &[HostSpec]) -> Duration {
    let honest = |host: &&HostSpec| !host.is_seed && host.lie.is_honest();
    let slowest = hosts.iter().filter(honest).map(|host| host.down).fold(f64::INFINITY, f64::min);
    class_bound(bytes, hosts, slowest)
}

/// The same formula for those whose slowest downlink has `down` megabits a second.
pub fn class_bound(bytes: f64, hosts: &[HostSpec], down: f64) -> Duration {
    let honest: Vec<&HostSpec> = hosts.iter().filter(|host| !host.is_seed && host.lie.is_honest()).collect();
    let seeds: f64 = hosts.iter().filter(|host| host.is_seed).map(|host| host.up).sum();
    let all = seeds + honest.iter().map(|host| host.up).sum::<f64>();
    let copies = honest.len() as f64;
    let seconds = [1.0 / seeds, 1.0 / down, copies / all].into_iter().fold(0.0, f64::max) * bytes / MBIT;
    Duration::from_secs_f64(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_tightest_of_three() {
        let params = Params { leeches: 8, ..Params::default() };
        let equal = bound(params.bytes(), &params.crowd()).as_secs_f64();
        assert!((equal - params.bytes() / (50.0 * MBIT)).abs() < 1e-6);
        let slow = Params { seed_up: 25.0, ..params.clone() };
        assert!((bound(slow.bytes(), &slow.crowd()).as_secs_f64() - 2.0 * equal).abs() < 1e-6);
        let weak = Params { up: 10.0, ..params };
        let expected = 8.0 * weak.bytes() / (130.0 * MBIT);
        assert!((bound(weak.bytes(), &weak.crowd()).as_secs_f64() - expected).abs() < 1e-6);
    }
}
