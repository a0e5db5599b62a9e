//! Any packet is an answer that, written, fits the limit; or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::announce::udp::{Family, RESPONSE_BYTES, Response};

fuzz_target!(|packet: &[u8]| {
    for family in [Family::V4, Family::V6] {
        if let Ok(response) = Response::decode(packet, family) {
            let written = response.encode();
            assert!(written.len() <= RESPONSE_BYTES);
            // libp2p peers that do not fit when written our way are left out; see `udp_libp2p`.
            let names_libp2p =
                matches!(&response, Response::Announce { announced, .. } if announced.libp2p.is_some());
            if packet.len() <= RESPONSE_BYTES && family == Family::V4 && !names_libp2p {
                assert_eq!(Response::decode(&written, family), Ok(response));
            }
        }
    }
});
