//! A server in the middle, for comparison: nginx gives the file to everybody, curl fetches it.

use std::path::PathBuf;
use std::process::Command;

use super::hub::Host;
use super::run::Field;
use super::system::{Leech, Missing};
use crate::patience;
use crate::process::Samara;
use crate::process::binary::repository;
use crate::scene::{PROMPT, path_text};

/// Names another nginx.
const OVERRIDE: &str = "SAMARA_NGINX";
/// Where it lies if it was unpacked, not installed: its package starts a server on all addresses.
const UNPACKED: &str = "target/ci/nginx/usr/sbin/nginx";
const PORT: u16 = 8000;

/// nginx, and curl beside it.
pub(super) fn find() -> Result<PathBuf, Missing> {
    let answers = |program: &PathBuf, arg: &str| {
        let output = Command::new(program).arg(arg).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !answers(&"curl".into(), "--version") {
        return Err(Missing { what: "curl", remedy: "apt-get install curl" });
    }
    let named = std::env::var_os(OVERRIDE).map(PathBuf::from);
    let candidates =
        [named, Some(repository().join(UNPACKED)), Some("nginx".into()), Some("/usr/sbin/nginx".into())];
    candidates.into_iter().flatten().find(|nginx| answers(nginx, "-v")).ok_or(Missing {
        what: "nginx",
        remedy: "apt-get download nginx && dpkg-deb -x nginx_*.deb target/ci/nginx",
    })
}

pub(super) fn start_seed(field: &Field, host: &Host) -> Samara {
    let nginx = find().expect("whoever measures it has looked");
    let state = field.scene.state("nginx");
    let config = state.join("nginx.conf");
    std::fs::write(&config, configuration(field, host)).expect("the scratch folder is writable");
    let mut command = host.command(nginx);
    command.args(["-e", "stderr", "-p", &path_text(&state), "-c", &path_text(&config)]);
    let process = Samara::listen_to("nginx", command);
    let is_up = || {
        let output =
            host.command("curl").args(["--silent", "--fail", "--head", &url(field, &host.address)]).output();
        output.is_ok_and(|output| output.status.success()).then_some(())
    };
    patience::wait_for("nginx answers", PROMPT, is_up);
    process
}

pub(super) fn start_leech(field: &Field, host: &Host, number: usize) -> Leech {
    let file = field.scene.path(&format!("copy of leech{number}"));
    let events = "{\"event\":\"progress\",\"bytes_sent\":0,\"bytes_received\":%{size_download}}\n{\"event\":\"complete\"}\n";
    let mut command = host.command("curl");
    command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--output", &path_text(&file)]);
    command.args(["--write-out", events, &url(field, &field.seed_address)]);
    Leech { process: Samara::listen_to(&format!("leech{number}"), command), file }
}

fn url(field: &Field, address: &str) -> String {
    format!("http://{address}:{PORT}/{}", field.content.file_name())
}

/// One process that stays in front and writes into its own folder alone.
fn configuration(field: &Field, host: &Host) -> String {
    let root = path_text(field.content.path.parent().expect("content lies in a folder"));
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path temporary_{kind};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\nuser root root;\npid nginx.pid;\nevents {{ worker_connections 256; }}\n\
         http {{\n    access_log off;\n    sendfile on;\n    tcp_nopush on;\n{temporary}\
         \x20   server {{ listen {}:{PORT}; root \"{root}\"; }}\n}}\n",
        host.address
    )
}
