//! The worlds of the scenarios, by what they are about.

pub mod arrivals;
pub mod crowds;
pub mod faults;
pub mod hostile;
