//! Any bytes are a peer exchange message that survives the wire, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::wire::extension::PexMessage;

fuzz_target!(|input: &[u8]| {
    if let Ok(message) = PexMessage::decode(input) {
        assert_eq!(PexMessage::decode(&message.encode()), Ok(message));
    }
});
