//! Any bytes are an answer that survives being written, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::announce::http::{AnnounceResponse, PeerFormat};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(response) = AnnounceResponse::decode(bytes) {
        let written = response.encode(PeerFormat::Dictionaries);
        assert_eq!(AnnounceResponse::decode(&written), Ok(response));
    }
});
