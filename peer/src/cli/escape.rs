//! Text that is safe to print: nothing in it can move the cursor, colour the screen or reorder a line.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;

use serde_json::ser::Formatter;

/// Whether a terminal could take `c` for anything but a visible character: control characters, line and
/// paragraph separators, bidirectional overrides and isolates, invisible marks and tags.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` as one printable line: hostile characters become `\u{…}`.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hostile(c) { escaped.extend(c.escape_unicode()) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// Compact JSON whose strings hold no hostile character either; the values are unchanged.
pub struct SafeJson;

impl Formatter for SafeJson {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        if !fragment.chars().any(is_hostile) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut escaped = String::with_capacity(fragment.len() + 16);
        for c in fragment.chars() {
            if is_hostile(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            } else {
                escaped.push(c);
            }
        }
        writer.write_all(escaped.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Serialize;

    fn json(text: &str) -> String {
        let mut out = Vec::new();
        text.serialize(&mut serde_json::Serializer::with_formatter(&mut out, SafeJson)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn terminal_escapes_newlines_and_bidi_overrides_become_visible() {
        assert_eq!(line("a\x1b[31mb\nc\u{202e}d\u{9b}"), "a\\u{1b}[31mb\\u{a}c\\u{202e}d\\u{9b}");
    }

    #[test]
    fn ordinary_text_in_any_script_is_left_alone() {
        for text in ["big.bin", "Füße und Ähren", "日本語", "שלום", "👩‍🌾 emoji", "a b\\c"] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn json_hides_overrides_without_changing_the_value() {
        assert_eq!(json("a\u{202e}\u{e0041}\u{7f}"), r#""a\u202e\udb40\udc41\u007f""#);
    }

    proptest! {
        #[test]
        fn nothing_hostile_survives(text in any::<String>(), hostile in "[\\x00-\\x1f\\x7f-\\u{9f}\\u{200e}\\u{202a}-\\u{202e}]*") {
            let mixed = format!("{text}{hostile}{text}");
            prop_assert!(!line(&mixed).chars().any(is_hostile));
            prop_assert!(!json(&mixed).chars().any(is_hostile));
        }

        #[test]
        fn json_reads_back_as_it_was(text in any::<String>(), hostile in "[\\x00-\\x1f\\x7f-\\u{9f}\\u{202a}-\\u{202e}\\u{e0000}-\\u{e007f}]*") {
            let mixed = format!("{hostile}{text}");
            prop_assert_eq!(serde_json::from_str::<String>(&json(&mixed)).unwrap(), mixed);
        }
    }
}
