//! Where files are kept during a run: in memory if there is room, so that no disk slows anybody down.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::Plan;

/// Memory that looks like a disk, where there is some.
const IN_MEMORY: &str = "/dev/shm";
/// So many times what is needed must be free there: others use memory too.
const ROOM: u64 = 3;

/// The folder below which a run by this plan should keep its files.
pub fn folder(plan: &Plan) -> PathBuf {
    // The original, and everybody's copy.
    let needed = plan.bytes * (plan.leeches as u64 + 1);
    let has_room = free_bytes(Path::new(IN_MEMORY)).is_some_and(|free| free >= ROOM * needed);
    if has_room { IN_MEMORY.into() } else { std::env::temp_dir() }
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let output = Command::new("df").args(["--output=avail", "--block-size=1"]).arg(folder).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().nth(1)?.trim().parse().ok()
}
