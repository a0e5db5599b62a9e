//! The samara command.
