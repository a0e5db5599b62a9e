//! How many packets are listened to: whoever floods the network must not keep us busy, nor drown the others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use samara_proto::moment::Moment;

/// Packets are counted for so long.
const WINDOW: Duration = Duration::from_secs(1);
/// Packets of one sender: a machine full of nodes that all speak at once.
const PER_SENDER: u32 = 64;
/// Packets of all: a signature is checked for each at the worst, which takes a tenth of one core.
const OF_ALL: u32 = 1024;

/// Counts packets.
#[derive(Debug, Default)]
pub(super) struct Quota {
    window: Moment,
    of_all: u32,
    /// No more senders than packets are counted.
    of_sender: BTreeMap<IpAddr, u32>,
}

impl Quota {
    /// Whether a packet that came at `now` is to be read.
    pub(super) fn admit(&mut self, now: Moment, sender: IpAddr) -> bool {
        if now.since(self.window) >= WINDOW {
            *self = Self { window: now, ..Self::default() };
        }
        if self.of_all >= OF_ALL {
            return false;
        }
        let of_sender = self.of_sender.entry(sender).or_default();
        if *of_sender >= PER_SENDER {
            return false;
        }
        *of_sender += 1;
        self.of_all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    #[test]
    fn a_flood_of_one_sender_leaves_room_for_the_others() {
        let mut quota = Quota::default();
        let now = Moment::ZERO + 10 * WINDOW;
        let admitted = (0..10_000).filter(|_| quota.admit(now, sender(1))).count();
        assert_eq!(admitted, PER_SENDER as usize);
        assert!(quota.admit(now, sender(2)));
    }

    #[test]
    fn a_flood_of_many_senders_is_cut_off_until_the_window_is_over() {
        let mut quota = Quota::default();
        let now = Moment::ZERO + 10 * WINDOW;
        let admitted = (0..10_000).filter(|n| quota.admit(now, sender(n % 5000))).count();
        assert_eq!(admitted, OF_ALL as usize);
        assert!(quota.of_sender.len() <= OF_ALL as usize);
        assert!(quota.admit(now + WINDOW, sender(1)));
    }
}
