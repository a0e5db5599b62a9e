//! Peers over libp2p.

pub mod address;
pub mod behaviour;
pub mod bind;
pub mod discovery;
pub mod link;
pub mod metadata;
pub mod reachability;
pub mod transport;
pub mod wire;
