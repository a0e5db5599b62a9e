//! The harness: rules on the source text, made-up content, and real processes under test.

pub mod cluster;
pub mod content;
pub mod drill;
pub mod flood;
pub mod interrupt;
pub mod measure;
pub mod netns;
pub mod patience;
pub mod process;
pub mod rogue;
pub mod scene;
pub mod sim;
pub mod star;
pub mod tidy;
pub mod transition;
