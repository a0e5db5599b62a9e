//! What befalls a world besides what its hosts do.

use std::time::Duration;

use super::agenda::HostNo;

/// One thing that befalls.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A host goes without a word; it comes back only by [`Step::Resume`].
    Crash(HostNo),
    /// A host that crashed starts again with what is on its disk.
    Resume(HostNo),
    /// A host goes for good.
    Leave(HostNo),
    /// The net falls apart: each host is in the part named here, by its number.
    Divide(Vec<u8>),
    /// It is one net again.
    Heal,
    /// Links across the parts that are still there are dead.
    DropCrossing,
    /// Nothing passes a host's links for a while.
    Stall(HostNo, Duration),
    /// One of a host's links is cut, whichever comes first among its own.
    CutOne(HostNo),
    /// The tracker answers nobody any more.
    TrackerGone,
    /// Nothing; the world goes on at least until then.
    Pause,
}
