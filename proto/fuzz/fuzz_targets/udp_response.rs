//! Any packet is an answer that, written, fits the limit; or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::announce::udp::{Family, RESPONSE_BYTES, Response};

fuzz_target!(|packet: &[u8]| {
    for family in [Family::V4, Family::V6] {
        if let Ok(response) = Response::decode(packet, family) {
            let written = response.encode();
            assert!(written.len() <= RESPONSE_BYTES);
            let again = Response::decode(&written, family);
            // libp2p peers that do not fit when written our way are left out; see `udp_libp2p`. Plain peers may
            // read like them by chance when those that nobody can dial are left out.
            let is_plain = !names_libp2p(&response) && !again.as_ref().is_ok_and(names_libp2p);
            if packet.len() <= RESPONSE_BYTES && family == Family::V4 && is_plain {
                assert_eq!(again, Ok(response));
            }
        }
    }
});

fn names_libp2p(response: &Response) -> bool {
    matches!(response, Response::Announce { announced, .. } if announced.libp2p.is_some())
}
