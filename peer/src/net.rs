//! Peers over libp2p.

pub mod address;
pub mod behaviour;
pub mod bind;
pub mod discovery;
pub mod holder;
pub mod link;
pub mod metadata;
mod pace;
pub mod reachability;
pub mod shares;
pub mod transport;
pub mod wire;
