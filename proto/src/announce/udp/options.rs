//! What may follow an announce: options (BEP 41), of which only the URL's path and query matter.

const END: u8 = 0;
const NOP: u8 = 1;
const URL_DATA: u8 = 2;

/// The path and query that `options` carry, empty if none. A truncated option ends the list: it is no
/// reason to lose the announce.
pub(super) fn url_data(options: &[u8]) -> Vec<u8> {
    let mut url = Vec::new();
    let mut rest = options;
    while let Some((&kind, after_kind)) = rest.split_first() {
        match kind {
            END => break,
            NOP => rest = after_kind,
            _ => {
                let Some((&length, after_length)) = after_kind.split_first() else { break };
                let Some((value, after_value)) = after_length.split_at_checked(length.into()) else { break };
                if kind == URL_DATA {
                    url.extend(value);
                }
                rest = after_value;
            }
        }
    }
    url
}

/// Appends `url` as options; nothing if it is empty.
pub(super) fn append_url_data(packet: &mut Vec<u8>, url: &[u8]) {
    for chunk in url.chunks(u8::MAX.into()) {
        packet.push(URL_DATA);
        packet.push(u8::try_from(chunk.len()).expect("a chunk has at most 255 bytes"));
        packet.extend(chunk);
    }
}
