//! Whole swarms of production engines in one thread and virtual time, the same again for the same seed.
//!
//! A [`world`] has hosts with limited links and disks, a tracker that names a few peers at random, liars,
//! and a script of what befalls it; [`scenario`] is the table of worlds, [`report`] what a run came to.

pub mod agenda;
mod checks;
pub mod choices;
pub mod compare;
pub mod disk;
pub mod host;
pub mod lie;
pub mod link;
pub mod matrix;
pub mod pace;
pub mod peek;
pub mod pipe;
pub mod plan;
pub mod report;
pub mod scenario;
pub mod scenarios;
pub mod script;
pub mod trace;
pub mod tracker;
pub mod wire;
pub mod world;

/// The runs that once broke a claim, as [`choices::runs_in`] reads them.
pub const REGRESSIONS: &str = include_str!("sim/regressions.txt");
