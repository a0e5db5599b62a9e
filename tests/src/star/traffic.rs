//! What a link carried, as the kernel's shaper counts it: the same for every system, whatever it speaks.

use std::process::Command;

use serde_json::Value;

/// What precedes the bytes of a TCP stream in every packet: Ethernet, IPv4, and TCP with timestamps.
const HEADER_BYTES: u64 = 14 + 20 + 32;

/// What one direction of a link carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes, headers included.
    pub bytes: u64,
    /// Packets of the size they have on the wire.
    pub packets: u64,
}

/// What a host's link carried, both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// By the host.
    pub sent: Carried,
    /// To the host; what found no room before the link is not in it.
    pub received: Carried,
}

impl Carried {
    /// What was carried since `before`.
    fn since(self, before: Self) -> Self {
        Self { bytes: self.bytes - before.bytes, packets: self.packets - before.packets }
    }

    /// Bytes besides headers, if all of it was TCP.
    pub fn stream_bytes(self) -> u64 {
        self.bytes.saturating_sub(self.packets * HEADER_BYTES)
    }
}

impl Traffic {
    /// What was carried since `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self { sent: self.sent.since(before.sent), received: self.received.since(before.received) }
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
    Carried { bytes: count("bytes"), packets: count("packets") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_header_is_the_stream() {
        assert_eq!(Carried { bytes: 100 * 1514 + 50 * 66, packets: 150 }.stream_bytes(), 100 * 1448);
    }
}
