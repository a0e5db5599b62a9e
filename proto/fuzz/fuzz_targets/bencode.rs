//! Any bytes are scanned within bounds, and the scan can be walked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::bencode::{Limits, Value, scan, scan_prefix};

fuzz_target!(|input: &[u8]| {
    if let Ok(scan) = scan(input, Limits::TORRENT) {
        assert_eq!(scan.root().raw(), input);
        walk(scan.root());
    }
    if let Ok(scan) = scan_prefix(input, Limits::EXTENSION) {
        assert!(scan.length() <= input.len());
    }
});

fn walk(value: Value<'_>) {
    let kinds = [
        value.as_int().is_some(),
        value.as_bytes().is_some(),
        value.as_list().is_some(),
        value.as_dict().is_some(),
    ];
    assert_eq!(kinds.into_iter().filter(|&is| is).count(), 1);
    value.as_list().into_iter().flatten().for_each(walk);
    value.as_dict().into_iter().flatten().for_each(|(_, member)| walk(member));
}
