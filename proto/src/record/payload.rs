//! The protobuf form of a peer record: three fields.
//!
//! libp2p-core can write it too, but only with the system clock's time as its sequence number, and
//! nothing here reads a clock.

use libp2p_core::{Multiaddr, PeerId};

/// Wire type 0: a varint.
const VARINT: u8 = 0;
/// Wire type 2: a length and as many bytes.
const BYTES: u8 = 2;

/// `PeerRecord { peer_id = 1, seq = 2, repeated AddressInfo { multiaddr = 1 } addresses = 3 }`,
/// canonical: a sequence number of zero is left out.
pub(super) fn encode(peer_id: &PeerId, seq: u64, addresses: &[Multiaddr]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, &peer_id.to_bytes());
    if seq != 0 {
        out.push(2 << 3 | VARINT);
        put_varint(&mut out, seq);
    }
    for address in addresses {
        let mut info = Vec::new();
        put_bytes(&mut info, 1, address.as_ref());
        put_bytes(&mut out, 3, &info);
    }
    out
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Seven bits a byte, lowest first; the top bit says that more follow.
fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
