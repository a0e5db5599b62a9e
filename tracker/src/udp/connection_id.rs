//! Connection ids: proof, without memory, that a client receives what is sent to its address.
//!
//! An id is 16 bits that say in which slot of time it was given, and 48 bits of a keyed hash of the slot
//! and the client's address. The slot is hashed whole, so that an id does not come back to life.

use std::hash::Hasher;
use std::net::IpAddr;
use std::time::Duration;

use samara_proto::announce::udp::ConnectionId;
use samara_proto::moment::Moment;
use siphasher::sip::SipHasher24;

/// An id is good in the slot it was given in and in the next: for two to four minutes. Clients use one
/// for one minute (BEP 15).
const SLOT: Duration = Duration::from_secs(120);

const HASH_BITS: u32 = 48;

/// Gives and checks ids.
pub(super) struct ConnectionIds {
    key: [u8; 16],
}

impl ConnectionIds {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// An id for the client at `ip`.
    pub(super) fn give(&self, now: Moment, ip: IpAddr) -> ConnectionId {
        self.of_slot(slot(now), ip)
    }

    /// Whether `id` was given to the client at `ip`, and not too long ago.
    pub(super) fn is_good(&self, now: Moment, ip: IpAddr, id: ConnectionId) -> bool {
        let current = slot(now);
        let slots = [Some(current), current.checked_sub(1)];
        slots.into_iter().flatten().any(|slot| self.of_slot(slot, ip) == id)
    }

    fn of_slot(&self, slot: u64, ip: IpAddr) -> ConnectionId {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u64(slot);
        match ip {
            IpAddr::V4(ip) => hasher.write_u32(ip.to_bits()),
            IpAddr::V6(ip) => hasher.write_u128(ip.to_bits()),
        }
        ConnectionId(slot << HASH_BITS | hasher.finish() >> (64 - HASH_BITS))
    }
}

fn slot(now: Moment) -> u64 {
    now.since(Moment::ZERO).as_secs() / SLOT.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    fn at(secs: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn an_id_is_good_for_two_minutes_and_dead_after_four() {
        let ids = ConnectionIds::new([7; 16]);
        for given in [0, 1, 119, 120, 121, 1_000_000_007] {
            let id = ids.give(at(given), HERE);
            assert!(ids.is_good(at(given), HERE, id));
            assert!(ids.is_good(at(given + 120), HERE, id));
            assert!(!ids.is_good(at(given + 240), HERE, id));
            assert!(!ids.is_good(at(given + 420_420), HERE, id));
        }
    }

    #[test]
    fn an_id_from_the_future_is_not_good() {
        let ids = ConnectionIds::new([7; 16]);
        let id = ids.give(at(1000), HERE);
        assert!(!ids.is_good(at(0), HERE, id));
    }

    #[test]
    fn an_id_does_not_come_back_when_the_slots_number_wraps() {
        let ids = ConnectionIds::new([7; 16]);
        let id = ids.give(at(0), HERE);
        assert!(!ids.is_good(at(120 << 16), HERE, id));
    }

    #[test]
    fn an_id_is_good_for_one_address_and_one_key() {
        let ids = ConnectionIds::new([7; 16]);
        let id = ids.give(at(0), HERE);
        assert!(!ids.is_good(at(0), THERE, id));
        assert!(!ConnectionIds::new([8; 16]).is_good(at(0), HERE, id));
        let last_bit = ConnectionId(id.0 ^ 1);
        assert!(!ids.is_good(at(0), HERE, last_bit));
        let slot_bit = ConnectionId(id.0 ^ (1 << 48));
        assert!(!ids.is_good(at(0), HERE, slot_bit));
    }
}
