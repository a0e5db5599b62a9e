//! Samara on the star: the binary under test, as its users run it.

use super::hub::Host;
use super::plan::Transport;
use super::run::Field;
use super::system::Leech;
use crate::process::Samara;
use crate::process::place::Place;
use crate::scene::{PROMPT, path_text};

/// `samara seed`, which says when it shares.
pub(super) fn start_seed(field: &Field, host: &Host) -> Samara {
    let torrent = path_text(&field.torrent);
    let data = path_text(field.content.path.parent().expect("content lies in a folder"));
    let args = arguments(field, &["seed", &torrent, "--data", &data]);
    let mut process = start(field, host, "seed", &args);
    process.wait_for("seeding", 3 * PROMPT);
    process
}

/// `samara get`, which stays when it has everything.
pub(super) fn start_leech(field: &Field, host: &Host, number: usize) -> Leech {
    let name = format!("leech{number}");
    let out = field.scene.path(&format!("copy of {name}"));
    let (torrent, folder) = (path_text(&field.torrent), path_text(&out));
    let mut args = arguments(field, &["get", &torrent, "-o", &folder, "--seed"]);
    if let Some(corrupter) = &field.corrupter {
        // It logs why it ends a link.
        args.extend(["-vv".to_owned(), "--peer".to_owned(), corrupter.clone()]);
    }
    let process = start(field, host, &name, &args);
    Leech { process, file: out.join(field.content.file_name()) }
}

fn arguments(field: &Field, command: &[&str]) -> Vec<String> {
    let mut args: Vec<String> = command.iter().map(|arg| (*arg).to_owned()).collect();
    if let Some(discovery) = &field.plan.discovery {
        args.extend(["--discovery".to_owned(), discovery.clone()]);
    }
    args
}

fn start(field: &Field, host: &Host, name: &str, args: &[String]) -> Samara {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    field.scene.start_at(&place(field.plan.transport, host), name, &args)
}

fn place(transport: Transport, host: &Host) -> Place {
    match transport {
        Transport::Tcp => host.bound(),
        Transport::Any => host.unbound(),
    }
}
