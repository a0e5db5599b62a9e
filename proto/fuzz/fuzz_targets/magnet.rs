//! Any text is a magnet link or an error, and what was accepted survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::limits::MAGNET_BYTES;
use samara_proto::magnet::Magnet;

fuzz_target!(|text: &str| {
    if let Ok(magnet) = text.parse::<Magnet>() {
        let written = magnet.to_string();
        if written.len() <= MAGNET_BYTES {
            assert_eq!(written.parse(), Ok(magnet));
        }
    }
});
