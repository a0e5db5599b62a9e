//! The star itself: hosts in namespaces of their own around a hub with a bridge, each on a link of given rates.
//!
//! Nothing leads out of it. Every link is limited where packets enter it: what a host sends at the host's end,
//! what it receives at the hub's.

use std::process::Command;

use super::bound::Link;
use super::rate::Rate;
use super::traffic::{self, Traffic};
use crate::netns::Namespace;
use crate::process::place::Place;

/// The hub's own address; where trackers listen.
pub const HUB_ADDRESS: &str = "10.66.0.1";
/// The interface of every host.
pub const INTERFACE: &str = "eth0";
/// A bucket holds what its link carries in this time: a timer of the kernel may come that late.
const BURST_SECONDS: f64 = 0.004;
/// A bucket holds this at least: more packets at a time than one, or processing them alone takes the time.
const SMALLEST_BURST_BYTES: u64 = 32 << 10;
/// How TCP finds its rate, the best first that the kernel allows in a namespace: what most machines do by
/// themselves, or what every kernel knows and is much the same on short ways. This machine may be told to do
/// otherwise: BBR, for one, floods slow links with more than they have room for.
const CONGESTION_CONTROLS: [&str; 2] = ["cubic", "reno"];
/// How long a packet may wait before its link: a home router's buffer, and many times the round trip of links
/// without one, so that TCP fills them.
const QUEUE_SECONDS: f64 = 0.05;
/// A queue has room for this at least, as that of a slow link's modem has: less does not hold one packet of every
/// stream of a swarm.
const SMALLEST_QUEUE_BYTES: u64 = 32 << 10;

/// The middle of the star.
pub struct Hub {
    namespace: Namespace,
    hosts: u8,
}

/// A host at the end of a link.
pub struct Host {
    namespace: Namespace,
    hub: String,
    port: String,
    /// Its address.
    pub address: String,
}

impl Hub {
    /// A hub without hosts.
    ///
    /// # Panics
    /// Without root, or `ip`.
    #[allow(clippy::new_without_default, reason = "it makes a namespace")]
    pub fn new() -> Self {
        let namespace = Namespace::new("hub");
        namespace.without_ipv6();
        namespace.bridge("bridge");
        namespace.address("bridge", &format!("{HUB_ADDRESS}/24"));
        Self { namespace, hosts: 0 }
    }

    /// A further host.
    ///
    /// # Panics
    /// Without `tc`, or when there is no room for more.
    pub fn host(&mut self, label: &str, link: Link) -> Host {
        self.hosts = self.hosts.checked_add(1).filter(|hosts| *hosts < 240).expect("the plan is bounded");
        let (port, address) = (format!("port{}", self.hosts), format!("10.66.0.{}", 10 + self.hosts));
        let namespace = Namespace::new(label);
        namespace.without_ipv6();
        control_congestion(&namespace);
        namespace.connect(INTERFACE, &self.namespace, &port);
        self.namespace.plug(&port, "bridge");
        namespace.address(INTERFACE, &format!("{address}/24"));
        shape(namespace.name(), INTERFACE, link.up);
        shape(self.namespace.name(), &port, link.down);
        Host { namespace, hub: self.namespace.name().to_owned(), port, address }
    }

    /// Processes here are in the middle, on no link.
    pub fn place(&self) -> Place {
        Place::unbound(&self.namespace)
    }
}

impl Host {
    /// Processes here stay on the link's interface.
    pub fn bound(&self) -> Place {
        Place::bound(&self.namespace, INTERFACE)
    }

    /// Processes here use every address there is.
    pub fn unbound(&self) -> Place {
        Place::unbound(&self.namespace)
    }

    /// A command that will run here.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.namespace.command(program)
    }

    /// What its link has carried so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            sent: traffic::carried(self.namespace.name(), INTERFACE),
            received: traffic::carried(&self.hub, &self.port),
        }
    }
}

/// Sets how the namespace's TCP finds its rate.
fn control_congestion(namespace: &Namespace) {
    let is_set = |name: &&str| {
        let write = format!("echo {name} > /proc/sys/net/ipv4/tcp_congestion_control");
        let output = namespace.command("sh").args(["-c", &write]).output();
        output.expect("a shell is everywhere").status.success()
    };
    assert!(CONGESTION_CONTROLS.iter().any(is_set), "the kernel forbids {CONGESTION_CONTROLS:?}");
}

/// Limits what leaves by an interface.
fn shape(namespace: &str, interface: &str, rate: Rate) {
    let burst = ((rate.bytes_per_second() * BURST_SECONDS) as u64).max(SMALLEST_BURST_BYTES);
    let queue = ((rate.bytes_per_second() * QUEUE_SECONDS) as u64).max(SMALLEST_QUEUE_BYTES);
    let bits = rate.bits_per_second();
    // As tc does it for a latency: a burst must find room whole.
    let limit = burst + queue;
    let args = format!(
        "-n {namespace} qdisc add dev {interface} root tbf rate {bits}bit burst {burst}b limit {limit}b"
    );
    let output = Command::new("tc").args(args.split(' ')).output().expect("tc comes with ip");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`tc {args}` failed: {}", said.trim());
}
