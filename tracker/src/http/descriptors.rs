//! How many connections the system lets this process have.

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
#[cfg(unix)]
use tracing::warn;

/// Descriptors for everything but connections: listeners, logs, and whatever else the process does.
#[cfg(unix)]
const OTHERS: u64 = 64;

/// How many of `wanted` connections there can be. The limit on open files is raised as far as they need
/// and the system allows.
#[cfg(unix)]
pub(super) fn connections(wanted: usize) -> usize {
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).max(1);
    let needed = wanted.saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No limit at all is `None`.
    let mut limit = current.unwrap_or(u64::MAX);
    let reachable = maximum.unwrap_or(u64::MAX).min(needed);
    if limit < reachable && setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum }).is_ok()
    {
        limit = reachable;
    }
    let possible = limit.saturating_sub(OTHERS).clamp(1, wanted);
    if possible < wanted {
        warn!(wanted, possible, "fewer HTTP connections than configured: the limit on open files is too low");
    }
    usize::try_from(possible).unwrap_or(usize::MAX)
}

/// How many of `wanted` connections there can be: as far as is known here, all.
#[cfg(not(unix))]
pub(super) fn connections(wanted: usize) -> usize {
    wanted.max(1)
}
