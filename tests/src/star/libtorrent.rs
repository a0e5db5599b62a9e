//! libtorrent on the star, driven from Python, with the settings it has by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::hub::Host;
use super::run::Field;
use super::system::{Leech, Missing};
use crate::process::Samara;
use crate::process::binary::repository;
use crate::scene::{PROMPT, path_text};

const SCRIPT: &str = include_str!("libtorrent.py");
/// Names another Python.
const OVERRIDE: &str = "SAMARA_PYTHON";
/// Where CI installs it.
const OF_CI: &str = "target/ci/venv/bin/python";

/// A Python that has libtorrent.
pub(super) fn find() -> Result<PathBuf, Missing> {
    let named = std::env::var_os(OVERRIDE).map(PathBuf::from);
    let candidates = [named, Some(repository().join(OF_CI)), Some("python3".into())];
    let has_it = |python: &PathBuf| {
        let output = Command::new(python).args(["-c", "import libtorrent"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    candidates.into_iter().flatten().find(has_it).ok_or(Missing {
        what: "a Python with libtorrent",
        remedy: "python3 -m venv target/ci/venv && target/ci/venv/bin/pip install libtorrent",
    })
}

pub(super) fn start_seed(field: &Field, host: &Host) -> Samara {
    let folder = field.content.path.parent().expect("content lies in a folder");
    let mut process = start(field, host, "seed", "seed", folder);
    process.wait_for("seeding", 3 * PROMPT);
    process
}

pub(super) fn start_leech(field: &Field, host: &Host, number: usize) -> Leech {
    let name = format!("leech{number}");
    let out = field.scene.path(&format!("copy of {name}"));
    std::fs::create_dir_all(&out).expect("the scratch folder is writable");
    let process = start(field, host, &name, "get", &out);
    Leech { process, file: out.join(field.content.file_name()) }
}

fn start(field: &Field, host: &Host, name: &str, role: &str, folder: &Path) -> Samara {
    let python = find().expect("whoever measures it has looked");
    let mut command = host.command(python);
    command.args(["-c", SCRIPT, role, &path_text(&field.torrent), &path_text(folder), &host.address]);
    Samara::listen_to(name, command)
}
