//! What a registry may hold and how often it wants to hear from peers.

use serde::Deserialize;

/// Caps on what announces can make a registry keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Swarms; beyond that the least of a few is forgotten for a new one.
    pub swarms: usize,
    /// Peers in one swarm; beyond that the longest silent of a few is forgotten for a new one.
    pub peers_per_swarm: usize,
    /// Entries in all swarms from one IPv4 address or IPv6 /64; beyond that new ones are refused.
    pub peers_per_ip: u32,
    /// Of these, in one swarm, from an address of the Internet and for each kind of peer: a household, or the few
    /// customers that share an address, and not somebody who makes peers up.
    pub peers_per_swarm_and_ip: u32,
    /// About how many mebibytes all entries may take; beyond that whole swarms are forgotten.
    pub memory_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            swarms: 1_000_000,
            peers_per_swarm: 100_000,
            peers_per_ip: 10_000,
            peers_per_swarm_and_ip: 64,
            memory_mib: 1024,
        }
    }
}

/// How often peers announce and how many others they are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Seconds between the announces of a peer of a young or small swarm; up to a fifth is added by chance.
    pub interval_secs: u32,
    /// The same when there is much to do: it is never longer.
    pub max_interval_secs: u32,
    /// Seconds a client must wait whatever happens; small, as some clients wait just that long. They grow
    /// with the interval, and are never more than half of it.
    pub min_interval_secs: u32,
    /// Announces a second to aim at: with more peers, intervals grow.
    pub announces_per_sec: u32,
    /// Peers told of when a client does not say how many it wants.
    pub default_peers: u32,
    /// Most peers told of in one answer.
    pub max_peers: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval_secs: 300,
            max_interval_secs: 1800,
            min_interval_secs: 30,
            announces_per_sec: 500,
            default_peers: 50,
            max_peers: 200,
        }
    }
}
