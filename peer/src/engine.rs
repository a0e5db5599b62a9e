//! The swarm's brain: facts in, orders out. No clock, no IO, no chance but a seeded one.

pub mod event;
