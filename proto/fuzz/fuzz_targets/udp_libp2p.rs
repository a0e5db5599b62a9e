//! What follows an answer's head, and a URL in an announce: libp2p peers that survive being written, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::announce::udp::{Family, RESPONSE_BYTES, Request, Response, url_data};

const HEAD: [u8; 20] = [0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];

fuzz_target!(|bytes: &[u8]| {
    let packet = [&HEAD[..], bytes].concat();
    let response = Response::decode(&packet, Family::V4).expect("the head is whole");
    let written = response.encode();
    assert!(written.len() <= RESPONSE_BYTES);
    // What was left out because it did not fit is gone; what is left stays. Of plain peers those are left out
    // that nobody can dial, and what is left may read like libp2p peers by chance.
    let again = Response::decode(&written, Family::V4).expect("it was written whole");
    if matches!(&response, Response::Announce { announced, .. } if announced.libp2p.is_some()) {
        assert_eq!(again.encode(), written);
    }

    let mut announce = [0; 98];
    announce[11] = 1;
    if let Ok(Request::Announce { announce, .. }) = Request::decode(&[&announce[..], bytes].concat()) {
        let _ = announce.libp2p_record();
        let carried = samara_proto::announce::udp::Announce { url_data: url_data("/", bytes), ..announce };
        if let Ok(Some(record)) = carried.libp2p_record() {
            assert_eq!(record, bytes);
        }
    }
});
