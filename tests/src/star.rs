//! The star: real processes on hosts of their own, each on a link of a given rate, all through one hub.
//!
//! Every system gets the same links, the same content and the same tracker, and is measured from outside.

pub mod bound;
pub mod check;
pub mod corrupter;
mod http;
pub mod hub;
mod libtorrent;
pub mod outcome;
pub mod plan;
pub mod rate;
pub mod run;
mod samara;
pub mod scratch;
pub mod summary;
pub mod system;
pub mod traffic;
mod watch;
