//! Machines of a drill's own on one network without a way out, whose cables carry so much and can be cut.

use std::net::Ipv4Addr;

use crate::netns::Namespace;
use crate::process::place::Place;

/// The network of a drill: switches in a row, and machines at them.
pub struct Network {
    switches: Namespace,
    count: usize,
}

/// A machine at a switch.
pub struct Machine {
    namespace: Namespace,
    address: Ipv4Addr,
}

impl Network {
    /// Two switches with a cable between them.
    ///
    /// # Panics
    /// Without root, or `ip`.
    #[allow(clippy::new_without_default, reason = "it makes namespaces")]
    pub fn new() -> Self {
        let switches = Namespace::new("switches");
        switches.without_ipv6();
        for switch in ["left", "right"] {
            switches.bridge(switch);
        }
        switches.connect("to-right", &switches, "to-left");
        switches.plug("to-right", "left");
        switches.plug("to-left", "right");
        Self { switches, count: 0 }
    }

    /// A further machine at the switch `left` or `right`, whose cable carries so many megabits a second each way.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn machine(&mut self, switch: &str, megabits: u32) -> Machine {
        self.count += 1;
        let (number, port) = (self.count, format!("port{}", self.count));
        let namespace = Namespace::new(&format!("machine{number}"));
        namespace.without_ipv6();
        namespace.connect("eth0", &self.switches, &port);
        self.switches.plug(&port, switch);
        let address = Ipv4Addr::new(10, 77, 0, u8::try_from(number).expect("a few machines"));
        namespace.address("eth0", &format!("{address}/16"));
        limit(&namespace, "eth0", megabits);
        limit(&self.switches, &port, megabits);
        Machine { namespace, address }
    }

    /// Cuts the cable between the switches.
    pub fn cut(&self) {
        self.switches.down("to-right");
    }

    /// Mends it.
    pub fn heal(&self) {
        self.switches.up("to-right");
    }
}

impl Machine {
    /// Processes here use every address there is.
    pub fn place(&self) -> Place {
        Place::unbound(&self.namespace)
    }

    /// Its only address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The namespace it is.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Sends whatever is not for this network to `other`, which passes nothing on.
    pub fn leave_by(&self, other: &Self) {
        self.namespace.default_route(&other.address.to_string());
    }

    /// Is at home at every address below `network`, too.
    pub fn answer_for(&self, network: &str) {
        self.namespace.ip(&format!("route add local {network} dev lo"));
    }

    /// Bytes that left by its cable so far.
    pub fn bytes_sent(&self) -> u64 {
        counter(&self.namespace, "eth0", "tx_bytes")
    }
}

/// Lets an interface send no more than so many megabits a second.
///
/// # Panics
/// Without `tc`, or such an interface.
pub fn limit(namespace: &Namespace, interface: &str, megabits: u32) {
    // A burst is one large packet; the queue holds less than half a second.
    let queue_kib = (megabits * 50).max(512);
    let args =
        format!("qdisc add dev {interface} root tbf rate {megabits}mbit burst 128kb limit {queue_kib}kb");
    let output = namespace.command("tc").args(args.split(' ')).output().expect("tc comes with ip");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`tc {args}` failed: {}", said.trim());
}

/// What an interface counts, such as `tx_bytes`.
///
/// # Panics
/// When there is no such interface, or it counts nothing of this name.
pub fn counter(namespace: &Namespace, interface: &str, name: &str) -> u64 {
    let path = format!("/sys/class/net/{interface}/statistics/{name}");
    let output = namespace.command("cat").arg(&path).output().expect("cat is everywhere");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}
