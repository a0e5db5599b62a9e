//! Sizes, rates and durations, as people write and read them.

use std::time::Duration;

use samara_proto::limits;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const TIB: u64 = 1024 * GIB;

/// A number of bytes: `16384`, `256KiB`, `256 KiB`, `4M`, `1GiB`. Decimal units such as `kB` are refused
/// rather than guessed at.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "write a number of bytes, such as 16384 or 256KiB")?;
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => KIB,
        "m" | "mib" => MIB,
        "g" | "gib" => GIB,
        "t" | "tib" => TIB,
        _ => return Err("the units are KiB, MiB, GiB and TiB".into()),
    };
    number.checked_mul(factor).ok_or_else(|| "that is too large".into())
}

/// A piece length: a power of two from 16 KiB to 256 MiB.
pub fn parse_piece_length(text: &str) -> Result<u32, String> {
    let length = u32::try_from(parse_size(text)?).unwrap_or(u32::MAX);
    if length.is_power_of_two() && (limits::BLOCK_LENGTH..=limits::PIECE_LENGTH).contains(&length) {
        return Ok(length);
    }
    Err("a piece length is a power of two from 16KiB to 256MiB".into())
}

/// The size of a file worth watching: smaller ones arrive before anything can be seen.
pub fn parse_demo_size(text: &str) -> Result<u64, String> {
    parse_size(text).and_then(|size| if size >= MIB { Ok(size) } else { Err("at least 1MiB".into()) })
}

/// `512 B`, `1.50 MiB`, `12.3 GiB`, `123 GiB`.
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..KIB => return format!("{bytes} B"),
        KIB..MIB => (KIB, "KiB"),
        MIB..GIB => (MIB, "MiB"),
        GIB..TIB => (GIB, "GiB"),
        _ => (TIB, "TiB"),
    };
    let value = bytes as f64 / unit as f64;
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {name}")
}

/// `1.50 MiB/s`.
pub fn rate(bytes_a_second: u64) -> String {
    format!("{}/s", size(bytes_a_second))
}

/// `0.41 s`, `12.3 s`, `4 min 5 s`, `3 h 20 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=9 => format!("{:.2} s", time.as_secs_f64()),
        10..=59 => format!("{:.1} s", time.as_secs_f64()),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long `bytes` take at `rate`: `12 s left`; `None` while nothing moves.
pub fn time_left(bytes: u64, rate: u64) -> Option<String> {
    let seconds = bytes.checked_div(rate)?;
    Some(match seconds {
        0..=59 => format!("{} s left", seconds.max(1)),
        60..=3599 => format!("{} min {} s left", seconds / 60, seconds % 60),
        3600..=359_999 => format!("{} h {} min left", seconds / 3600, seconds % 3600 / 60),
        _ => "more than 100 h left".into(),
    })
}

/// `1 peer`, `2 peers`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn binary_units_are_read_with_and_without_a_space() {
        assert_eq!(parse_size("16384"), Ok(16384));
        assert_eq!(parse_size("256KiB"), Ok(256 * KIB));
        assert_eq!(parse_size(" 4 mib "), Ok(4 * MIB));
        assert_eq!(parse_size("1G"), Ok(GIB));
    }

    #[test]
    fn decimal_units_signs_and_overflow_are_refused() {
        for wrong in ["", "KiB", "1kB", "-1", "1.5MiB", "99999999999999999999", "99999999999TiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn a_piece_length_is_a_power_of_two_in_range() {
        assert_eq!(parse_piece_length("16KiB"), Ok(16384));
        assert_eq!(parse_piece_length("16MiB"), Ok(16 << 20));
        for wrong in ["0", "8KiB", "512MiB", "48KiB", "4GiB"] {
            assert!(parse_piece_length(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.50 KiB");
        assert_eq!(size(10 * MIB), "10.0 MiB");
        assert_eq!(size(GIB - 1), "1024 MiB");
        assert_eq!(size(150 * GIB), "150 GiB");
    }

    #[test]
    fn time_left_is_unknown_while_nothing_moves() {
        assert_eq!(time_left(100, 0), None);
        assert_eq!(time_left(100, 10).as_deref(), Some("10 s left"));
        assert_eq!(time_left(7300, 1).as_deref(), Some("2 h 1 min left"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_size_parser_panic(text in ".*") {
            let _ = parse_size(&text);
        }
    }
}
