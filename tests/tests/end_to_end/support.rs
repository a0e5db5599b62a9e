//! What the scenarios share: sizes, deadlines, and the checks after every transfer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use samara_tests::content::{difference, write_file};
use samara_tests::process::Samara;
use samara_tests::scene::Scene;
use serde_json::Value;

/// A transfer on loopback takes a fraction of this, even unoptimized on a busy machine.
pub(crate) const TRANSFER: Duration = Duration::from_secs(180);

/// No process may ever hold more, in bytes.
const MEMORY: u64 = 150 << 20;

/// The size of the large file, in bytes.
pub(crate) fn large() -> u64 {
    let mebibytes = std::env::var("SAMARA_E2E_MIB").ok().and_then(|text| text.parse().ok());
    mebibytes.unwrap_or(48) << 20
}

/// Writes the large file into the scene.
pub(crate) fn large_file(scene: &Scene) -> PathBuf {
    let path = scene.path("large.bin");
    // A size that ends inside a block shows what whole pieces would hide.
    write_file(&path, large() + 12_345, 1).unwrap();
    path
}

/// Waits until a `get --exit` is through, and checks everything it must have achieved.
pub(crate) fn finish(mut leech: Samara, expected: &Path, actual: &Path) -> Value {
    let complete = leech.wait_for("complete", TRANSFER);
    assert_eq!(leech.wait_exit(Duration::from_secs(30)), 0, "{}", leech.story());
    assert_eq!(difference(expected, actual).unwrap(), None, "{}", leech.story());
    assert_modest(&leech);
    complete
}

/// A process kept within its memory.
pub(crate) fn assert_modest(process: &Samara) {
    let peak = process.peak_memory();
    assert!(peak < MEMORY, "it had {} MiB resident", peak >> 20);
}
