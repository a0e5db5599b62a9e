//! Peers over libp2p.
