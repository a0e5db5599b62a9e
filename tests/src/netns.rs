//! Network namespaces: machines of our own on this one, with cables between them and no way out.
//!
//! They need root. Whoever uses them asks [`available`] first, and skips if it says no.

pub mod capture;
pub mod doorbell;
mod sniffer;

use std::ffi::OsStr;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Set in the environment, it turns a skipped test into a failed one: for machines where root is certain.
const DEMANDED: &str = "SAMARA_NETNS";

/// Numbers the namespaces of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Whether namespaces can be made here. If not it says so, loudly, for the test named `test`.
///
/// # Panics
/// When they cannot although the environment variable `SAMARA_NETNS` demands them.
pub fn available(test: &str) -> bool {
    let name = unique_name("probe");
    let made = Command::new("ip").args(["netns", "add", &name]).output();
    let reason = match made {
        Ok(output) if output.status.success() => {
            run(&["netns", "del", &name]);
            return true;
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os(DEMANDED).is_none(), "network namespaces cannot be made: {reason}");
    let notice =
        format!("\n*** SKIPPED: {test}: needs root and iproute2 for network namespaces ({reason}) ***\n\n");
    // Not by eprintln: the test harness would keep it to itself.
    let _ = std::io::stderr().write_all(notice.as_bytes());
    false
}

/// A network namespace with nothing but loopback, up; removed when dropped, with all its cables.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// An empty one. `label` helps whoever reads `ip netns list`; the name is unique.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(label: &str) -> Self {
        let name = unique_name(label);
        run(&["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside. The child is the program itself, not a wrapper around it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `ip ARGS` inside, such as `addr add 10.0.0.1/24 dev a0`.
    ///
    /// # Panics
    /// When it fails.
    pub fn ip(&self, args: &str) {
        let mut all = vec!["-n", &self.name];
        all.extend(args.split_whitespace());
        run(&all);
    }

    /// Lays a cable to `other`, whose ends become the interfaces `end` here and `other_end` there (15 letters
    /// at most). They are down until they get an address.
    ///
    /// # Panics
    /// When a name is taken.
    pub fn connect(&self, end: &str, other: &Self, other_end: &str) {
        run(&[
            "link",
            "add",
            end,
            "netns",
            &self.name,
            "type",
            "veth",
            "peer",
            "name",
            other_end,
            "netns",
            &other.name,
        ]);
    }

    /// Makes a switch, up; cables are plugged in by [`Namespace::plug`].
    ///
    /// # Panics
    /// When the name is taken.
    pub fn bridge(&self, bridge: &str) {
        self.ip(&format!("link add {bridge} type bridge"));
        self.up(bridge);
    }

    /// Plugs the cable's end `end` into `bridge`.
    ///
    /// # Panics
    /// When either does not exist.
    pub fn plug(&self, end: &str, bridge: &str) {
        self.ip(&format!("link set {end} master {bridge}"));
        self.up(end);
    }

    /// Gives an interface an address with its prefix length, such as `10.0.0.1/24`, and switches it on. An
    /// IPv6 address is usable at once.
    ///
    /// # Panics
    /// When either is wrong.
    pub fn address(&self, interface: &str, address: &str) {
        let flags = if address.contains(':') { " nodad" } else { "" };
        self.ip(&format!("addr add {address} dev {interface}{flags}"));
        self.up(interface);
    }

    /// Sends whatever has no better way to `gateway`.
    ///
    /// # Panics
    /// When `gateway` is on no cable.
    pub fn default_route(&self, gateway: &str) {
        let family = if gateway.contains(':') { "-6" } else { "-4" };
        run(&["-n", &self.name, family, "route", "add", "default", "via", gateway]);
    }

    /// Switches an interface on.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn up(&self, interface: &str) {
        self.ip(&format!("link set {interface} up"));
    }

    /// Switches an interface off; its IPv4 address stays.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn down(&self, interface: &str) {
        self.ip(&format!("link set {interface} down"));
    }

    /// Does without IPv6, and its kernel without IPv6's own chatter.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn without_ipv6(&self) {
        let write = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
        let status = self.command("sh").args(["-c", write]).status().expect("a shell is everywhere");
        assert!(status.success(), "cannot switch IPv6 off in {}", self.name);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What still runs inside keeps it alive, nameless, until it ends.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// Removes every namespace of this program: for one that ends without unwinding.
pub fn remove_all() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    let listed = String::from_utf8_lossy(&output.stdout);
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    for name in names.filter(|name| name.starts_with(&prefix())) {
        // It fails only if somebody else has removed it, which is what is wanted.
        let _ = Command::new("ip").args(["netns", "del", name]).output();
    }
}

/// What the names of this program's namespaces begin with.
fn prefix() -> String {
    format!("samara-{}-", std::process::id())
}

fn unique_name(label: &str) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}{number}-{label}", prefix())
}

/// Runs `ip ARGS`.
fn run(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("available() has found it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`ip {}` failed: {}", args.join(" "), said.trim());
}
