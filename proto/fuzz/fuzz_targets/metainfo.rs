//! Any bytes are a checked metainfo or an error, and what was accepted survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::layout::{FileIndex, PieceIndex};
use samara_proto::metainfo::{Metainfo, check_component};

fuzz_target!(|input: &[u8]| {
    let _ = Metainfo::from_info(input);
    let Ok(metainfo) = Metainfo::from_bytes(input) else { return };
    let again = Metainfo::from_bytes(&metainfo.to_bytes()).expect("what was accepted once");
    assert_eq!(again.info_hashes(), metainfo.info_hashes());
    assert_eq!(again.files(), metainfo.files());
    assert_eq!(again.layout(), metainfo.layout());
    for file in (0..metainfo.layout().file_count()).map(FileIndex) {
        assert_eq!(again.piece_layer(file), metainfo.piece_layer(file));
        assert!(metainfo.disk_path(file).all(|component| check_component(component).is_ok()));
    }
    for piece in (0..metainfo.layout().piece_count().min(1000)).map(PieceIndex) {
        assert_eq!(again.piece_check(piece), metainfo.piece_check(piece));
    }
});
