//! What clients and trackers say to each other, over HTTP and UDP.

pub mod http;
pub mod udp;
