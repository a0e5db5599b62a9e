//! The systems that can be measured, and what each of them has to provide.

use std::fmt;
use std::path::PathBuf;

use super::hub::Host;
use super::run::Field;
use super::samara;
use crate::process::Samara;

/// Something that brings a file from one host to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// `samara seed` and `samara get`.
    Samara,
}

/// Somebody who fetches.
pub struct Leech {
    /// The process; it says `complete` when it has everything, and goes on sharing.
    pub process: Samara,
    /// Where its copy will be.
    pub file: PathBuf,
}

impl System {
    /// How it is called on the command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Samara => "samara",
        }
    }

    /// Starts who has everything; it is ready when this returns.
    pub(super) fn start_seed(self, field: &Field, host: &Host) -> Samara {
        match self {
            Self::Samara => samara::start_seed(field, host),
        }
    }

    /// Starts leech `number`.
    pub(super) fn start_leech(self, field: &Field, host: &Host, number: usize) -> Leech {
        match self {
            Self::Samara => samara::start_leech(field, host, number),
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
