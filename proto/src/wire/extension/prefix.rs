//! Finds where the bencoded dictionary at the start of an extension message ends.

use crate::limits::{EXTENSION_BYTES, EXTENSION_DEPTH, EXTENSION_TOKENS};

/// The length of the dictionary that `input` begins with, if it begins with one within the limits for
/// extension messages; whatever follows it is not looked at. Takes constant memory.
///
/// A dictionary that passes cannot make a recursive reader overflow its stack or a trusting one
/// allocate more than `input` holds; that keys are strings is for the reader to check.
pub(super) fn dictionary_end(input: &[u8]) -> Option<usize> {
    if input.first() != Some(&b'd') || input.len() > EXTENSION_BYTES {
        return None;
    }
    let mut depth = 0;
    let mut at = 0;
    for _ in 0..EXTENSION_TOKENS {
        match input.get(at)? {
            b'd' | b'l' => {
                depth += 1;
                at += 1;
            }
            b'e' => {
                depth -= 1;
                at += 1;
            }
            b'i' => at += 1 + input[at + 1..].iter().take(21).position(|&byte| byte == b'e')? + 1,
            b'0'..=b'9' => at = string_end(input, at)?,
            _ => return None,
        }
        match depth {
            0 => return Some(at),
            1..=EXTENSION_DEPTH => {}
            _ => return None,
        }
    }
    None
}

/// Where the string that starts at `at` with its length ends, if that is inside `input`.
fn string_end(input: &[u8], at: usize) -> Option<usize> {
    let digits = input[at..].iter().take(8).position(|&byte| byte == b':')?;
    let length: usize = std::str::from_utf8(&input[at..at + digits]).ok()?.parse().ok()?;
    let end = at + digits + 1 + length;
    (end <= input.len()).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_in_front_of_other_bytes() {
        assert_eq!(dictionary_end(b"de"), Some(2));
        assert_eq!(dictionary_end(b"d1:al1:bi-1eeeXYZ"), Some(14));
    }

    #[test]
    fn what_is_not_a_whole_dictionary_has_no_end() {
        for input in [&b""[..], b"d", b"i1e", b"le", b"4:spam", b"d1:a", b"d9:abce", b"d1:ai1", b"d-1:ae"] {
            assert_eq!(dictionary_end(input), None, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |depth: usize| [b"d1:a".repeat(depth), b"e".repeat(depth)].concat();
        assert!(dictionary_end(&nested(EXTENSION_DEPTH)).is_some());
        assert_eq!(dictionary_end(&nested(EXTENSION_DEPTH + 1)), None);
        assert_eq!(dictionary_end(&b"l".repeat(EXTENSION_BYTES)), None);
    }

    #[test]
    fn many_values_are_refused() {
        let flat = |tokens: usize| [b"d".to_vec(), b"0:".repeat(tokens - 2), b"e".to_vec()].concat();
        assert!(dictionary_end(&flat(EXTENSION_TOKENS)).is_some());
        assert_eq!(dictionary_end(&flat(EXTENSION_TOKENS + 1)), None);
    }
}
