//! Query strings: bytes in, bytes out; values need not be text.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use thiserror::Error;

use super::QUERY_BYTES;
use crate::limits::RECORD_BYTES;

/// Every byte but RFC 3986's unreserved ones.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a query is no announce or scrape. The text is fit for a `failure reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    /// Longer than any honest query.
    #[error("the query is longer than {QUERY_BYTES} bytes")]
    TooLong,
    /// A key that the request cannot do without.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An info-hash or peer id of another length than 20.
    #[error("{0} must be 20 bytes, percent-encoded")]
    Not20Bytes(&'static str),
    /// The port is no number from 0 to 65535.
    #[error("port must be a number from 0 to 65535")]
    Port,
    /// The signed peer record is no base64url, or too long.
    #[error("lp2p_rec must be base64url of at most {RECORD_BYTES} bytes")]
    Record,
    /// More info-hashes than one scrape may ask for.
    #[error("a scrape may ask for at most {} info-hashes", super::SCRAPE_HASHES)]
    TooManyHashes,
}

/// The pairs of a query in order, keys as found, values still encoded.
pub(in crate::announce) fn pairs(query: &[u8]) -> Result<impl Iterator<Item = (&[u8], &[u8])>, QueryError> {
    if query.len() > QUERY_BYTES {
        return Err(QueryError::TooLong);
    }
    Ok(query.split(|&byte| byte == b'&').map(|pair| match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[][..]),
    }))
}

/// A value's bytes. A `+` is a plus: clients write binary values, and none means a space by it.
pub(super) fn decode(value: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(value).into()
}

/// The 20 bytes that `value` encodes.
pub(super) fn decode_20(name: &'static str, value: &[u8]) -> Result<[u8; 20], QueryError> {
    decode(value).as_ref().try_into().map_err(|_| QueryError::Not20Bytes(name))
}

/// A number in decimal, if that is all `value` is.
pub(super) fn decode_number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Appends `key=value`, with `&` before it unless it is the first.
pub(in crate::announce) fn append(query: &mut String, key: &str, value: &[u8]) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(key);
    query.push('=');
    query.extend(percent_encode(value, RESERVED));
}
