//! Bencode (BEP 3): a guarded scan that bounds what input may cost, and serde behind it.
//!
//! Whatever comes from a file or a remote is scanned first, without recursion and without copying: depth,
//! number of values and lengths are checked against [`Limits`] and against the input itself. Values are then
//! read straight from the scan ([`Value`], which also knows the exact bytes of each) or through serde.

use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits;

/// What an input may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of input.
    pub max_bytes: usize,
    /// Lists and dictionaries inside each other.
    pub max_depth: usize,
    /// Integers, strings (keys too), lists and dictionaries.
    pub max_tokens: usize,
}

impl Limits {
    /// For `.torrent` files.
    pub const TORRENT: Self = Self {
        max_bytes: limits::TORRENT_BYTES,
        max_depth: limits::TORRENT_DEPTH,
        max_tokens: limits::TORRENT_TOKENS,
    };
    /// For info dictionaries on their own.
    pub const INFO: Self = Self { max_bytes: limits::INFO_BYTES, ..Self::TORRENT };
    /// For what trackers answer over HTTP.
    pub const TRACKER_ANSWER: Self = Self {
        max_bytes: limits::TRACKER_ANSWER_BYTES,
        max_depth: limits::TRACKER_ANSWER_DEPTH,
        max_tokens: limits::TRACKER_ANSWER_TOKENS,
    };
    /// For extension messages between peers (BEP 10).
    pub const EXTENSION: Self = Self {
        max_bytes: limits::EXTENSION_BYTES,
        max_depth: limits::EXTENSION_DEPTH,
        max_tokens: limits::EXTENSION_TOKENS,
    };
}

/// Why bytes are not the bencode that was hoped for. Positions count from the first byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// More bytes than allowed.
    #[error("more than {0} bytes of bencode")]
    TooLarge(usize),
    /// Nested deeper than allowed.
    #[error("bencode nested deeper than {0} levels")]
    TooDeep(usize),
    /// More values than allowed.
    #[error("more than {0} values in bencode")]
    TooManyValues(usize),
    /// The input ends in the middle of a value.
    #[error("bencode ends too early")]
    Truncated,
    /// No value can start, or no list or dictionary can end, with this byte.
    #[error("unexpected byte in bencode at position {0}")]
    UnexpectedByte(usize),
    /// Not an integer of 64 bits.
    #[error("malformed integer in bencode at position {0}")]
    Integer(usize),
    /// A string's length is malformed or reaches beyond the input.
    #[error("bad string length in bencode at position {0}")]
    Length(usize),
    /// A dictionary's key is not a string.
    #[error("a dictionary's key is not a string, at position {0}")]
    Key(usize),
    /// Something follows the value.
    #[error("bytes after the end of bencode at position {0}")]
    TrailingBytes(usize),
    /// Well-formed, but not of the shape that was asked for.
    #[error("unexpected content in bencode: {0}")]
    Shape(String),
}

/// Checks that `input` is one bencoded value within `limits` and finds its parts.
///
/// Keys need not be sorted or unique, and numbers may have leading zeros: files in the wild break these
/// rules, and an info-hash is taken over the bytes as found.
///
/// # Errors
/// On the first breach.
pub fn scan(input: &[u8], limits: Limits) -> Result<Scan<'_>, BencodeError> {
    let scan = scan_prefix(input, limits)?;
    match scan.length() {
        length if length == input.len() => Ok(scan),
        length => Err(BencodeError::TrailingBytes(length)),
    }
}

/// Like [`scan`], but other bytes may follow the value, as in metadata messages (BEP 9) and, by mistake, in
/// files and answers. The value and what follows together keep to `limits`.
///
/// # Errors
/// On the first breach.
pub fn scan_prefix(input: &[u8], limits: Limits) -> Result<Scan<'_>, BencodeError> {
    let max_bytes = limits.max_bytes.min(u32::MAX as usize);
    if input.len() > max_bytes {
        return Err(BencodeError::TooLarge(max_bytes));
    }
    let mut scanner = Scanner { input, at: 0, tokens: Vec::new(), open: Vec::new() };
    scanner.run(limits)?;
    Ok(Scan { input, tokens: scanner.tokens })
}

/// Reads a `T` from bencode within `limits`.
///
/// # Errors
/// If the scan refuses the input, or it is not the shape of a `T`.
pub fn from_bytes<T: DeserializeOwned>(input: &[u8], limits: Limits) -> Result<T, BencodeError> {
    scan(input, limits)?;
    deserialize(input)
}

/// Reads a `T` from the start of `input`, and how many bytes it took; what follows is left alone.
///
/// # Errors
/// If the scan refuses the input, or it is not the shape of a `T`.
pub fn from_prefix<T: DeserializeOwned>(input: &[u8], limits: Limits) -> Result<(T, usize), BencodeError> {
    let length = scan_prefix(input, limits)?.length();
    Ok((deserialize(&input[..length])?, length))
}

fn deserialize<T: DeserializeOwned>(input: &[u8]) -> Result<T, BencodeError> {
    serde_bencode::from_bytes(input).map_err(|error| BencodeError::Shape(error.to_string()))
}

/// The bencode of `value`, keys sorted.
///
/// # Panics
/// If `T` has no bencoded form (a float, a map whose keys are not strings): its author's mistake, not the
/// data's.
pub fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_bencode::to_bytes(value).expect("the type has a bencoded form")
}

/// Where everything is in an input that was found well-formed.
#[derive(Debug)]
pub struct Scan<'a> {
    input: &'a [u8],
    /// Never empty; a container comes before its members.
    tokens: Vec<Token>,
}

/// One value; its kind is what its first byte says. Offsets fit because inputs are shorter than 4 GiB.
#[derive(Clone, Copy, Debug)]
struct Token {
    start: u32,
    end: u32,
    /// The token after this one and everything inside it.
    next: u32,
}

impl Scan<'_> {
    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { input: self.input, tokens: &self.tokens, index: 0 }
    }

    /// Bytes the outermost value takes.
    pub fn length(&self) -> usize {
        self.root().span().end
    }
}

/// A value in a scanned input.
#[derive(Clone, Copy, Debug)]
pub struct Value<'s> {
    input: &'s [u8],
    tokens: &'s [Token],
    index: usize,
}

impl<'s> Value<'s> {
    /// Where in the input it is.
    pub fn span(&self) -> Range<usize> {
        let token = self.tokens[self.index];
        token.start as usize..token.end as usize
    }

    /// Its exact bytes, as found.
    pub fn raw(&self) -> &'s [u8] {
        &self.input[self.span()]
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        let digits = self.raw().strip_prefix(b"i")?.strip_suffix(b"e")?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The string, if it is one.
    pub fn as_bytes(&self) -> Option<&'s [u8]> {
        let raw = self.raw();
        let colon = raw.first()?.is_ascii_digit().then(|| raw.iter().position(|&byte| byte == b':'))??;
        Some(&raw[colon + 1..])
    }

    /// The text, if it is a string of valid UTF-8.
    pub fn as_str(&self) -> Option<&'s str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The list's members, if it is a list.
    pub fn as_list(&self) -> Option<impl Iterator<Item = Value<'s>> + use<'s>> {
        (self.raw()[0] == b'l').then(|| self.members())
    }

    /// The dictionary's keys and values in the order found, if it is a dictionary.
    pub fn as_dict(&self) -> Option<impl Iterator<Item = (&'s [u8], Value<'s>)> + use<'s>> {
        let mut members = (self.raw()[0] == b'd').then(|| self.members())?;
        Some(std::iter::from_fn(move || {
            let key = members.next()?.as_bytes()?;
            Some((key, members.next()?))
        }))
    }

    /// The first value under `key`, if this is a dictionary that has one.
    pub fn get(&self, key: &str) -> Option<Value<'s>> {
        self.as_dict()?.find(|(found, _)| *found == key.as_bytes()).map(|(_, value)| value)
    }

    fn members(self) -> impl Iterator<Item = Value<'s>> + use<'s> {
        let end = self.tokens[self.index].next as usize;
        let mut index = self.index + 1;
        std::iter::from_fn(move || {
            let member = (index < end).then_some(Value { index, ..self })?;
            index = self.tokens[index].next as usize;
            Some(member)
        })
    }
}

/// A list or dictionary whose end has not come yet.
struct Open {
    token: usize,
    expects: Expects,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    Member,
    Key,
    Value,
}

struct Scanner<'a> {
    input: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
    open: Vec<Open>,
}

impl Scanner<'_> {
    fn run(&mut self, limits: Limits) -> Result<(), BencodeError> {
        loop {
            let start = self.at;
            let first = self.peek()?;
            if first == b'e' {
                self.close()?;
            } else {
                if self.tokens.len() >= limits.max_tokens {
                    return Err(BencodeError::TooManyValues(limits.max_tokens));
                }
                self.expect_value(first)?;
                match first {
                    b'l' | b'd' if self.open.len() >= limits.max_depth => {
                        return Err(BencodeError::TooDeep(limits.max_depth));
                    }
                    b'l' => self.open(Expects::Member),
                    b'd' => self.open(Expects::Key),
                    b'i' => self.integer()?,
                    b'0'..=b'9' => self.string()?,
                    _ => return Err(BencodeError::UnexpectedByte(start)),
                }
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    fn peek(&self) -> Result<u8, BencodeError> {
        self.input.get(self.at).copied().ok_or(BencodeError::Truncated)
    }

    /// Takes note that a value starts here, as the innermost container's next member.
    fn expect_value(&mut self, first: u8) -> Result<(), BencodeError> {
        if let Some(innermost) = self.open.last_mut() {
            innermost.expects = match innermost.expects {
                Expects::Member => Expects::Member,
                Expects::Key if first.is_ascii_digit() => Expects::Value,
                Expects::Key => return Err(BencodeError::Key(self.at)),
                Expects::Value => Expects::Key,
            };
        }
        Ok(())
    }

    fn open(&mut self, expects: Expects) {
        self.open.push(Open { token: self.tokens.len(), expects });
        self.push(self.at, self.at + 1);
    }

    fn close(&mut self) -> Result<(), BencodeError> {
        let innermost = self.open.pop().filter(|innermost| innermost.expects != Expects::Value);
        let innermost = innermost.ok_or(BencodeError::UnexpectedByte(self.at))?;
        self.at += 1;
        self.tokens[innermost.token].end = self.at as u32;
        self.tokens[innermost.token].next = self.tokens.len() as u32;
        Ok(())
    }

    fn integer(&mut self) -> Result<(), BencodeError> {
        let rest = &self.input[self.at + 1..];
        let length = rest.iter().position(|&byte| byte == b'e').ok_or(BencodeError::Truncated)?;
        let digits = rest[..length].strip_prefix(b"-").unwrap_or(&rest[..length]);
        let number = std::str::from_utf8(&rest[..length]).ok().and_then(|text| text.parse::<i64>().ok());
        if !digits.first().is_some_and(u8::is_ascii_digit) || number.is_none() {
            return Err(BencodeError::Integer(self.at));
        }
        self.push(self.at, self.at + length + 2);
        Ok(())
    }

    fn string(&mut self) -> Result<(), BencodeError> {
        let rest = &self.input[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match rest.get(digits) {
            None => return Err(BencodeError::Truncated),
            Some(b':') => {}
            Some(_) => return Err(BencodeError::Length(self.at)),
        }
        let length = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse::<usize>().ok());
        match length {
            Some(length) if length < rest.len() - digits => {
                self.push(self.at, self.at + digits + 1 + length);
                Ok(())
            }
            _ => Err(BencodeError::Length(self.at)),
        }
    }

    fn push(&mut self, start: usize, end: usize) {
        let next = self.tokens.len() as u32 + 1;
        self.tokens.push(Token { start: start as u32, end: end as u32, next });
        self.at = end;
    }
}

#[cfg(test)]
mod tests;
