//! Any bytes are a scrape's answer that survives being written, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::announce::http::ScrapeResponse;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(response) = ScrapeResponse::decode(bytes) {
        assert_eq!(ScrapeResponse::decode(&response.encode()), Ok(response));
    }
});
