//! Any packet is a request that survives being written, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::announce::udp::Request;

fuzz_target!(|packet: &[u8]| {
    if let Ok(request) = Request::decode(packet) {
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
});
