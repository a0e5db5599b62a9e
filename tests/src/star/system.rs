//! The systems that can be measured, and what each of them has to provide.

use std::fmt;
use std::path::PathBuf;

use super::hub::Host;
use super::run::Field;
use super::{http, libtorrent, samara};
use crate::process::Samara;

/// Something that brings a file from one host to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum System {
    /// `samara seed` and `samara get`
    Samara,
    /// libtorrent with its defaults, by its Python package
    Libtorrent,
    /// nginx serving the file to all
    Http,
}

/// Somebody who fetches.
pub struct Leech {
    /// The process; it says `complete` when it has everything, and goes on sharing if it ever shares.
    pub process: Samara,
    /// Where its copy will be.
    pub file: PathBuf,
}

/// A program that is not on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is missing.
    pub what: &'static str,
    /// The command that brings it.
    pub remedy: &'static str,
}

impl System {
    /// How it is called on the command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Samara => "samara",
            Self::Libtorrent => "libtorrent",
            Self::Http => "http",
        }
    }

    /// Whether it can be measured here.
    ///
    /// # Errors
    /// What is missing.
    pub fn look(self) -> Result<(), Missing> {
        match self {
            Self::Samara => Ok(()),
            Self::Libtorrent => libtorrent::find().map(drop),
            Self::Http => http::find().map(drop),
        }
    }

    /// Whether its hosts find each other by the tracker.
    pub(super) fn asks_a_tracker(self) -> bool {
        self != Self::Http
    }

    /// Whether it can be told of a corrupter and says what it did about it.
    pub fn can_be_corrupted(self) -> bool {
        self == Self::Samara
    }

    /// Starts who has everything; it is ready when this returns.
    pub(super) fn start_seed(self, field: &Field, host: &Host) -> Samara {
        match self {
            Self::Samara => samara::start_seed(field, host),
            Self::Libtorrent => libtorrent::start_seed(field, host),
            Self::Http => http::start_seed(field, host),
        }
    }

    /// Starts leech `number`.
    pub(super) fn start_leech(self, field: &Field, host: &Host, number: usize) -> Leech {
        match self {
            Self::Samara => samara::start_leech(field, host, number),
            Self::Libtorrent => libtorrent::start_leech(field, host, number),
            Self::Http => http::start_leech(field, host, number),
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing; this brings it: {}", self.what, self.remedy)
    }
}
