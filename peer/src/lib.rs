//! A peer of the Samara swarm.
//!
//! [`engine`] decides and is pure; everything else acts. Without the `node` feature only the engine
//! is built, and neither tokio nor libp2p is needed.

pub mod engine;

#[cfg(feature = "node")]
pub mod choice;
#[cfg(feature = "node")]
pub mod cli;
#[cfg(feature = "node")]
pub mod disk;
#[cfg(feature = "node")]
pub mod handle;
#[cfg(feature = "node")]
pub mod metrics;
#[cfg(feature = "node")]
pub mod net;
#[cfg(feature = "node")]
pub mod node;
