//! A switch and machines plugged into it.

use std::time::Duration;

use samara_tests::content;
use samara_tests::netns::Namespace;
use samara_tests::process::Samara;
use samara_tests::scene::{PROMPT, Scene, path_text};
use serde_json::Value;

/// Nothing but the local network tells of peers.
pub(super) const LAN: [&str; 2] = ["--discovery", "lan"];
/// A transfer of a few MiB takes a second; a machine with much else to do takes longer.
pub(super) const TRANSFER: Duration = Duration::from_secs(60);

const MIB: u64 = 1 << 20;

/// The switch; gone when dropped.
pub(super) struct Network {
    switch: Namespace,
    plugged: u8,
}

/// A machine of the network, with the one interface `lan0`.
pub(super) struct Machine {
    pub(super) namespace: Namespace,
    pub(super) address: String,
}

impl Network {
    pub(super) fn new() -> Self {
        let switch = Namespace::new("switch");
        switch.without_ipv6();
        switch.bridge("br0");
        Self { switch, plugged: 0 }
    }

    /// Plugs in a machine with an address below 10.77.0.0/24.
    pub(super) fn machine(&mut self) -> Machine {
        let number = self.plugged + 1;
        self.plug(format!("10.77.0.{number}"), 24)
    }

    /// Plugs in a machine that has no IPv4 address.
    pub(super) fn machine_v6(&mut self) -> Machine {
        let number = self.plugged + 1;
        self.plug(format!("fd77::{number}"), 64)
    }

    fn plug(&mut self, address: String, prefix: u8) -> Machine {
        self.plugged += 1;
        let namespace = Namespace::new(&format!("lan{}", self.plugged));
        let end = format!("port{}", self.plugged);
        namespace.connect("lan0", &self.switch, &end);
        self.switch.plug(&end, "br0");
        namespace.address("lan0", &format!("{address}/{prefix}"));
        Machine { namespace, address }
    }
}

impl Machine {
    /// Starts `samara ARGS` on every address of this machine.
    pub(super) fn start(&self, scene: &Scene, name: &str, args: &[&str]) -> Samara {
        Samara::start_in(&self.namespace, None, name, &scene.state(name), args)
    }

    /// Starts `samara ARGS` bound to this machine's address.
    pub(super) fn start_bound(&self, scene: &Scene, name: &str, args: &[&str]) -> Samara {
        Samara::start_in(&self.namespace, Some(&self.address), name, &scene.state(name), args)
    }

    /// Whether a program of this machine listens to multicast DNS.
    pub(super) fn listens_to_mdns(&self) -> bool {
        // Port 5353, as the kernel writes it.
        let table = "grep -q ':14E9 ' /proc/net/udp /proc/net/udp6";
        self.namespace.command("sh").args(["-c", table]).status().expect("a shell is everywhere").success()
    }
}

/// Content and its `.torrent`.
pub(super) struct Shared {
    pub(super) torrent: String,
    /// The link that names nothing but the hash.
    pub(super) link: String,
    pub(super) bytes: u64,
}

/// Makes `mib` MiB of content.
pub(super) fn share(scene: &Scene, name: &str, mib: u64, create_args: &[&str]) -> Shared {
    let path = scene.path(name);
    content::write_file(&path, mib * MIB, mib).expect("the scratch folder is writable");
    let torrent = path_text(&scene.create(&path, "v1", create_args));
    let shown = scene.run(&["show", &torrent, "--json"]).json();
    let hash = shown["infohash_v1"].as_str().expect("a v1 torrent");
    Shared { torrent, link: format!("magnet:?xt=urn:btih:{hash}"), bytes: mib * MIB }
}

/// Shares what lies beside its `.torrent`, and waits until it does.
pub(super) fn seed(machine: &Machine, scene: &Scene, name: &str, shared: &Shared) -> Samara {
    let mut process = machine.start(scene, name, &[&["seed", &shared.torrent][..], &LAN].concat());
    process.wait_for("seeding", PROMPT);
    process
}

/// The arguments of `samara get` that leave everything to the local network.
pub(super) fn get<'a>(source: &'a str, out: &'a str) -> Vec<&'a str> {
    [&["get", source, "-o", out, "--exit"][..], &LAN].concat()
}

/// Waits until a download is complete, and checks that the local network found whoever gave something.
pub(super) fn complete_by_lan(process: &mut Samara, shared: &Shared) -> Value {
    let complete = process.wait_for("complete", TRANSFER);
    assert_eq!(complete["bytes"], shared.bytes, "{complete}");
    assert_eq!(complete["bytes_from"], serde_json::json!({ "lan": shared.bytes }), "{complete}");
    complete
}
