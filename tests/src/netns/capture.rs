//! What leaves a namespace by which interface, packet by packet.

use super::Namespace;
use super::sniffer::Sniffer;

/// Reads packets; Python can, without a crate or a package that not every machine has.
const SCRIPT: &str = include_str!("capture.py");

/// Packets kept; more are counted only.
const KEPT: usize = 64;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Bytes of an IPv6 header.
const IPV6: usize = 40;
/// The group mDNS joins (RFC 6762), which no kernel joins by itself.
const MDNS_GROUP: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb];

/// Watches interfaces until dropped.
pub struct Capture(Sniffer<Seen>);

/// The packets that left, besides those that kernels send by themselves.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How many.
    pub packets: usize,
    /// The first of them: the interface, and what it was.
    pub first: Vec<String>,
}

impl Capture {
    /// Watches what leaves `namespace` by `interfaces`, from when this returns.
    ///
    /// # Panics
    /// When Python or an interface is missing.
    pub fn start(namespace: &Namespace, interfaces: &[&str]) -> Self {
        Self(Sniffer::start(namespace, SCRIPT, interfaces, note))
    }

    /// What has left so far.
    pub fn seen(&self) -> Seen {
        self.0.heard()
    }
}

fn note(seen: &mut Seen, line: &str) {
    // The last line may be cut off where the reader of packets was killed.
    let Some((interface, hex)) = line.split_once(' ') else { return };
    let Ok(packet) = data_encoding::HEXLOWER.decode(hex.as_bytes()) else { return };
    if is_of_the_kernel(&packet) {
        return;
    }
    seen.packets += 1;
    if seen.first.len() < KEPT {
        seen.first.push(format!("{interface}: {}", describe(&packet)));
    }
}

/// Whether a kernel sends such a packet whatever its programs do: IPv6 looks for routers, announces groups
/// and addresses of its own, and answers who asks for them. A group that a program joined is no such case.
fn is_of_the_kernel(packet: &[u8]) -> bool {
    // Errors (ICMP) that the kernel sends to its own sockets; no process of ours can send any.
    if packet.get(12..14) == Some(&[8, 0]) && packet.get(ETHERNET + 9) == Some(&1) {
        return true;
    }
    let Some((header, mut rest)) = packet.get(ETHERNET..).and_then(|ip| ip.split_at_checked(IPV6)) else {
        return false;
    };
    if packet[12..ETHERNET] != [0x86, 0xdd] {
        return false;
    }
    let mut next = header[6];
    if next == 0 && rest.len() > 8 {
        // The router alert before multicast listener reports.
        (next, rest) = (rest[0], &rest[8..]);
    }
    let has_no_source = header[8..24] == [0; 16];
    match (next, rest.first()) {
        (58, Some(133 | 136)) => true,
        (58, Some(135)) => has_no_source,
        (58, Some(131 | 132 | 143)) => !rest.windows(16).any(|group| group == MDNS_GROUP),
        _ => false,
    }
}

/// What a packet is, as far as a glance tells.
fn describe(packet: &[u8]) -> String {
    let ip = packet.get(ETHERNET..).unwrap_or_default();
    let text = match packet.get(12..ETHERNET) {
        Some([8, 0]) if ip.len() >= 24 => {
            let [a, b, c, d] = [ip[16], ip[17], ip[18], ip[19]];
            let port = u16::from_be_bytes([ip[22], ip[23]]);
            format!("IPv4 protocol {} to {a}.{b}.{c}.{d}:{port}", ip[9])
        }
        Some([8, 6]) => "ARP".to_owned(),
        Some([0x86, 0xdd]) if ip.len() >= IPV6 => format!("IPv6 next header {}", ip[6]),
        _ => "something".to_owned(),
    };
    format!("{text} [{}]", data_encoding::HEXLOWER.encode(&packet[..packet.len().min(96)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv6(next: u8, source: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; ETHERNET + IPV6];
        packet[12..ETHERNET].copy_from_slice(&[0x86, 0xdd]);
        packet[ETHERNET + 6] = next;
        packet[ETHERNET + 8] = source;
        packet.extend_from_slice(rest);
        packet
    }

    #[test]
    fn a_line_that_was_cut_off_is_passed_over() {
        let mut seen = Seen::default();
        let packet = data_encoding::HEXLOWER.encode(&[0; 20]);
        for line in [format!("eth0 {packet}"), format!("eth0 {}", &packet[..9]), "eth".to_owned()] {
            note(&mut seen, &line);
        }
        assert_eq!(seen.packets, 1);
    }

    #[test]
    fn what_kernels_send_by_themselves_is_told_from_what_programs_cause() {
        assert!(is_of_the_kernel(&ipv6(58, 0xfe, &[133, 0])), "looking for a router");
        assert!(is_of_the_kernel(&ipv6(58, 0, &[135, 0])), "looking whether an address is free");
        assert!(!is_of_the_kernel(&ipv6(58, 0xfe, &[135, 0])), "looking for somebody to send to");
        let mut report = vec![58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0];
        report.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 1]);
        assert!(is_of_the_kernel(&ipv6(0, 0xfe, &report)), "a group of the kernel's own");
        report.extend(MDNS_GROUP);
        assert!(!is_of_the_kernel(&ipv6(0, 0xfe, &report)), "a group that a program joined");
        assert!(!is_of_the_kernel(&ipv6(17, 0xfe, &[0; 8])), "a datagram");
        assert!(!is_of_the_kernel(&[0; 20]), "something else");
    }
}
