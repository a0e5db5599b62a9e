//! Any query is an announce that survives being written, or an error; and so for scrapes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::announce::http::{AnnounceRequest, ScrapeRequest};

fuzz_target!(|query: &[u8]| {
    if let Ok(request) = AnnounceRequest::from_query(query) {
        assert_eq!(AnnounceRequest::from_query(request.to_query().as_bytes()), Ok(request));
    }
    if let Ok(request) = ScrapeRequest::from_query(query) {
        assert_eq!(ScrapeRequest::from_query(request.to_query().as_bytes()), Ok(request));
    }
});
