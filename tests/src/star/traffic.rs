//! What a link carried, as the kernel's shaper counts it: the same for every system, whatever it speaks.

use std::process::Command;

use serde_json::Value;

use crate::netns::Namespace;

/// What precedes the bytes of a TCP stream in every packet: Ethernet, IPv4, and TCP with timestamps.
const HEADER_BYTES: u64 = 14 + 20 + 32;
/// Bytes of a stream in a full packet.
const SEGMENT_BYTES: u64 = 1500 + 14 - HEADER_BYTES;

/// What one direction of a link carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes, headers included.
    pub bytes: u64,
    /// Packets of the size they have on the wire.
    pub packets: u64,
    /// Packets that found no room.
    pub dropped: u64,
}

/// What a host's link carried, both ways.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// By the host.
    pub sent: Carried,
    /// To the host.
    pub received: Carried,
    /// Segments of TCP that the host sent a second time.
    pub resent_segments: u64,
}

impl Traffic {
    /// What was carried since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let difference = |now: Carried, before: Carried| Carried {
            bytes: now.bytes - before.bytes,
            packets: now.packets - before.packets,
            dropped: now.dropped - before.dropped,
        };
        Self {
            sent: difference(self.sent, before.sent),
            received: difference(self.received, before.received),
            resent_segments: self.resent_segments - before.resent_segments,
        }
    }

    /// Bytes that TCP sent a second time and the link carried. One that was dropped before it was carried
    /// the first time counts once.
    pub fn resent_bytes(&self) -> u64 {
        self.resent_segments.saturating_sub(self.sent.dropped) * SEGMENT_BYTES
    }

    /// Bytes sent besides headers and what was sent a second time, if all of it was TCP.
    pub fn stream_bytes_sent(&self) -> u64 {
        self.sent.bytes.saturating_sub(self.sent.packets * HEADER_BYTES).saturating_sub(self.resent_bytes())
    }
}

/// What has left by a shaped interface.
///
/// # Panics
/// When there is no such interface, or it is not shaped.
pub fn carried(namespace: &str, interface: &str) -> Carried {
    let args = ["-n", namespace, "-s", "-j", "qdisc", "show", "dev", interface];
    let output = Command::new("tc").args(args).output().expect("tc comes with ip");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let shaper = shown.as_array().into_iter().flatten().find(|qdisc| qdisc["kind"] == "tbf");
    let shaper = shaper.unwrap_or_else(|| {
        panic!("`tc {}` shows no shaper: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim())
    });
    let count = |name: &str| shaper[name].as_u64().expect("tc counts it");
    Carried { bytes: count("bytes"), packets: count("packets"), dropped: count("drops") }
}

/// Segments that TCP has sent a second time in a namespace.
///
/// # Panics
/// When the kernel does not tell.
pub fn resent_segments(namespace: &Namespace) -> u64 {
    let output = namespace.command("cat").arg("/proc/net/snmp").output().expect("cat is everywhere");
    let text = String::from_utf8_lossy(&output.stdout);
    tcp_count(&text, "RetransSegs").expect("every kernel counts it")
}

/// A count of `/proc/net/snmp`: a line of names, and a line of values below it.
fn tcp_count(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|found| found == name)?;
    values.split(' ').nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_by_their_names() {
        let text = "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: InSegs RetransSegs MaxConn\nTcp: 7 5 -1\nUdp: A\nUdp: 0\n";
        assert_eq!(tcp_count(text, "RetransSegs"), Some(5));
        assert_eq!(tcp_count(text, "MaxConn"), None);
        assert_eq!(tcp_count(text, "Forwarding"), None);
    }

    #[test]
    fn what_is_neither_header_nor_sent_twice_is_the_stream() {
        let sent = Carried { bytes: 100 * 1514, packets: 100, dropped: 2 };
        let traffic = Traffic { sent, received: Carried::default(), resent_segments: 5 };
        assert_eq!(traffic.resent_bytes(), 3 * 1448);
        assert_eq!(traffic.stream_bytes_sent(), 97 * 1448);
    }
}
