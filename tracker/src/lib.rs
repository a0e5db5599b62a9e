//! A small BitTorrent tracker.

pub mod registry;
