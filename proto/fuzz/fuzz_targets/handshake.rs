//! Any 68 bytes are a handshake that encodes to the same bytes, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::wire::handshake::Handshake;

fuzz_target!(|input: [u8; 68]| {
    if let Ok(handshake) = Handshake::decode(&input) {
        assert_eq!(handshake.encode(), input);
    }
});
