//! A stream of messages says the same however it is cut.

use super::*;

/// Reads messages from chunks, taking the codec's three steps as early as the bytes allow.
#[derive(Default)]
struct Reader {
    pending: Vec<u8>,
    messages: Vec<Message>,
    /// The most bytes held for a message that was not whole yet.
    held: usize,
}

impl Reader {
    fn push(&mut self, chunk: &[u8], limits: &FrameLimits) -> Result<(), CodecError> {
        self.pending.extend_from_slice(chunk);
        while let Some(&prefix) = self.pending.first_chunk() {
            let length = frame_length(prefix, limits)?;
            if let (1.., Some(&id)) = (length, self.pending.get(LENGTH_PREFIX)) {
                check_head(length, id, limits)?;
            }
            let end = LENGTH_PREFIX + length as usize;
            let Some(body) = self.pending.get(LENGTH_PREFIX..end) else { break };
            self.messages.push(Message::decode(body, limits)?);
            self.pending.drain(..end);
        }
        self.held = self.held.max(self.pending.len());
        Ok(())
    }
}

fn pieces_of(stream: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| stream[ends[0]..ends[1]].to_vec()).collect()
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_decodes_to_the_same_messages(
        sent in prop::collection::vec(messages(), 0..30),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let stream: Vec<u8> = sent.iter().flat_map(encoded).collect();
        let mut reader = Reader::default();
        for chunk in pieces_of(&stream, &cuts) {
            reader.push(&chunk, &limits()).unwrap();
        }
        prop_assert_eq!(reader.messages, sent);
        prop_assert!(reader.pending.is_empty());
    }

    #[test]
    fn a_stream_byte_by_byte_decodes_to_the_same_messages(
        sent in prop::collection::vec(messages(), 0..6)
    ) {
        let mut reader = Reader::default();
        for byte in sent.iter().flat_map(encoded) {
            reader.push(&[byte], &limits()).unwrap();
        }
        prop_assert_eq!(reader.messages, sent);
    }

    #[test]
    fn an_arbitrary_stream_is_refused_or_read_within_the_limits(
        chunks in prop::collection::vec(bytes(0..50), 0..20)
    ) {
        let mut reader = Reader::default();
        for chunk in chunks {
            if reader.push(&chunk, &limits()).is_err() {
                break;
            }
        }
        let longest = LENGTH_PREFIX + limits().longest_body() as usize;
        prop_assert!(reader.held < longest);
    }

    #[test]
    fn a_bad_head_is_refused_before_its_body_comes(
        id in 0..24_u8,
        length in prop_oneof![0..200_u32, any::<u32>()],
    ) {
        let mut reader = Reader::default();
        let head = [&length.to_be_bytes()[..], &[id]].concat();
        let refused = reader.push(&head, &limits()).is_err();
        let payload_fits = length == 0 || limits().payload(id).contains(&(length - 1));
        prop_assert_eq!(refused, !payload_fits);
    }
}
