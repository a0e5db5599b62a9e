//! Any bytes are an extension handshake or a metadata message that survives the wire, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::wire::extension::{ExtensionHandshake, MetadataMessage};

fuzz_target!(|input: &[u8]| {
    if let Ok(handshake) = ExtensionHandshake::decode(input) {
        assert_eq!(ExtensionHandshake::decode(&handshake.encode()), Ok(handshake));
    }
    if let Ok(message) = MetadataMessage::decode(input) {
        assert_eq!(MetadataMessage::decode(&message.encode()), Ok(message));
    }
});
