//! Where the binaries of other processes lie; built first if they are missing or older than their sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Names another binary to test, for instance a release build.
const OVERRIDE: &str = "SAMARA_BIN";

/// Names another binary of liars.
const ROGUE_OVERRIDE: &str = "SAMARA_ROGUE";

/// The binary under test: `$SAMARA_BIN`, or the one of the same target folder and profile as this program.
///
/// # Panics
/// When it is missing and cannot be built.
pub fn samara() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let sources = ["proto/src", "tracker/src", "peer/src"];
    PATH.get_or_init(|| find(OVERRIDE, "samara-peer", "samara", &sources))
}

/// The binary of liars, `$SAMARA_ROGUE` or of the same target folder and profile as this program.
///
/// # Panics
/// When it is missing and cannot be built.
pub fn rogue() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let sources = ["proto/src", "peer/src/net", "tests/src/rogue", "tests/src/bin"];
    PATH.get_or_init(|| find(ROGUE_OVERRIDE, "samara-tests", "rogue", &sources))
}

fn find(overridden_by: &str, package: &str, name: &str, sources: &[&str]) -> PathBuf {
    match std::env::var_os(overridden_by) {
        Some(path) => std::path::absolute(path).expect("it is a path"),
        None => beside_this_program(package, name, sources),
    }
}

/// The top level of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

fn beside_this_program(package: &str, name: &str, sources: &[&str]) -> PathBuf {
    let this = std::env::current_exe().expect("a running program has a path");
    let is_profile = |folder: &&Path| folder.ends_with("debug") || folder.ends_with("release");
    let folder = this.ancestors().find(is_profile).expect("cargo builds into target/<profile>");
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    // `cargo test --workspace` has built it already; `cargo test -p samara-tests` has not built samara.
    let built = path.metadata().and_then(|metadata| metadata.modified());
    if built.map_or(true, |built| built < newest(sources)) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(repository()).args(["build", "--package", package, "--bin", name]);
        cargo.arg("--target-dir").arg(folder.parent().expect("a profile's folder lies in the target folder"));
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo is there: it built this");
        assert!(status.success(), "cannot build {name}");
    }
    path
}

fn newest(sources: &[&str]) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut folders: Vec<PathBuf> = sources.iter().map(|folder| repository().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) {
                newest = newest.max(modified);
            }
        }
    }
    newest
}
