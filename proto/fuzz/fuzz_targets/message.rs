//! Any stream of bytes is read as messages that encode to the same bytes, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samara_proto::bitfield::Bitfield;
use samara_proto::wire::codec::{FrameLimits, check_head, frame_length};
use samara_proto::wire::message::Message;

fuzz_target!(|input: &[u8]| {
    let Some((&kind, stream)) = input.split_first() else { return };
    let limits = match kind {
        0 => FrameLimits::before_metainfo(),
        pieces => FrameLimits::for_torrent(pieces.into(), 256 * 1024),
    };
    let mut rest = stream;
    while let Some((&prefix, after)) = rest.split_first_chunk() {
        let Ok(length) = frame_length(prefix, &limits) else { return };
        let Some((body, next)) = after.split_at_checked(length as usize) else { return };
        let head = body.first().map_or(Ok(()), |&id| check_head(length, id, &limits));
        match Message::decode(body, &limits) {
            Ok(Message::Unknown { .. }) => {}
            Ok(message) => {
                head.expect("what decodes has a good head");
                let mut again = Vec::new();
                message.encode(&mut again);
                assert_eq!(again, rest[..rest.len() - next.len()]);
                if let Message::Bitfield(bytes) = &message
                    && let Ok(pieces) = Bitfield::from_wire(bytes, kind.into())
                {
                    assert_eq!(pieces.to_wire(), *bytes);
                }
            }
            Err(_) => return,
        }
        rest = next;
    }
});
