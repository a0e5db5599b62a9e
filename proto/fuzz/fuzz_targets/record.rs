//! Any bytes are a signed record, which survives the wire, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::record::SignedRecord;

fuzz_target!(|input: &[u8]| {
    if let Ok(record) = SignedRecord::verify(input) {
        assert_eq!(SignedRecord::verify(record.as_bytes()).ok(), Some(record));
    }
});
