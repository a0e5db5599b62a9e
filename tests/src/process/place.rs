//! Where a process runs: in which network namespace, and on which address its sockets must stay.

use std::path::Path;
use std::process::Command;

use super::{LOOPBACK, binary};
use crate::netns::Namespace;

/// A place for processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The network namespace; `None` is this program's own.
    namespace: Option<String>,
    /// What `SAMARA_BIND` says.
    bind: Option<String>,
}

impl Place {
    /// On this machine, bound to loopback.
    pub fn loopback() -> Self {
        Self { namespace: None, bind: Some(LOOPBACK.to_string()) }
    }

    /// In a namespace, bound to an address or an interface it has.
    pub fn bound(namespace: &Namespace, bind: &str) -> Self {
        Self { namespace: Some(namespace.name().to_owned()), bind: Some(bind.to_owned()) }
    }

    /// In a namespace, on every address it has.
    pub fn unbound(namespace: &Namespace) -> Self {
        Self { namespace: Some(namespace.name().to_owned()), bind: None }
    }

    /// `samara --state-dir STATE_DIR`, here.
    pub(super) fn command(&self, state_dir: &Path) -> Command {
        let mut command = match &self.namespace {
            None => Command::new(binary::samara()),
            Some(namespace) => {
                // It turns into what it runs, so the process's id is samara's own.
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(binary::samara());
                command
            }
        };
        match &self.bind {
            Some(bind) => command.env("SAMARA_BIND", bind),
            None => command.env_remove("SAMARA_BIND"),
        };
        // Relative paths and the .torrent that `seed PATH` makes go there too.
        command
            .current_dir(state_dir)
            .env("NO_COLOR", "1")
            .env("NO_PROXY", "*")
            .env("RUST_BACKTRACE", "1")
            .arg("--state-dir")
            .arg(state_dir);
        command
    }
}
