//! The worlds of the scenarios, by what they are about.

pub mod crowds;
