//! The harness: rules on the source text, made-up content, and real processes under test.

pub mod content;
pub mod process;
pub mod scene;
pub mod tidy;
