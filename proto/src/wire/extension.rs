//! The extension handshake (BEP 10), the metadata exchange (BEP 9), the peer exchange (after BEP 11) and
//! telling of single blocks.

mod blocks;
mod metadata;
mod pex;

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use thiserror::Error;

pub use blocks::{BlocksError, BlocksMessage};
pub use metadata::{METADATA_PIECE, MetadataError, MetadataMessage, metadata_pieces, metadata_range};
pub use pex::{PexError, PexFlags, PexMessage, PexPeer};

use crate::bencode::{self, BencodeError, Limits};
use crate::limits;

/// The id of the extension handshake itself.
pub const HANDSHAKE_ID: u8 = 0;

/// The name of the metadata exchange (BEP 9) in [`ExtensionHandshake::m`].
pub const UT_METADATA: &str = "ut_metadata";

/// The name of our peer exchange in [`ExtensionHandshake::m`].
pub const SAMARA_PEX: &str = "samara_pex";

/// The name of our telling of single verified blocks in [`ExtensionHandshake::m`].
pub const SAMARA_BLOCKS: &str = "samara_blocks";

/// What one end says of itself in the first extended message (BEP 10). Everything in it is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionHandshake {
    /// Extensions by name, each with the message id under which the sender wants to hear it; 0 turns
    /// one off that an earlier handshake turned on.
    pub m: BTreeMap<String, u8>,
    /// The sender's name and version, as it wrote them: escape before printing. Cut off at
    /// [`limits::CLIENT_BYTES`].
    pub version: Option<String>,
    /// How many requests the sender queues.
    pub reqq: Option<u32>,
    /// Bytes of the info dictionary, if the sender has it; never 0 nor more than
    /// [`limits::INFO_BYTES`].
    pub metadata_size: Option<u32>,
    /// Whether the sender will request nothing, complete or not (BEP 21).
    pub upload_only: Option<bool>,
    /// Bytes of the longest request the sender answers, as it wrote them; see
    /// [`Self::longest_request`].
    pub request_length: Option<u32>,
}

impl ExtensionHandshake {
    /// The id under which the sender wants to hear the extension `name`, if it speaks it.
    pub fn id_of(&self, name: &str) -> Option<NonZeroU8> {
        NonZeroU8::new(*self.m.get(name)?)
    }

    /// Bytes of the longest request to send to the sender: what it said, but never below a block nor
    /// above [`limits::REQUEST_LENGTH`].
    pub fn longest_request(&self) -> u32 {
        self.request_length
            .unwrap_or(limits::BLOCK_LENGTH)
            .clamp(limits::BLOCK_LENGTH, limits::REQUEST_LENGTH)
    }

    /// Takes over what a later handshake of the same peer says; what it leaves out stays (BEP 10).
    ///
    /// # Errors
    /// If that would be more extensions than one handshake may have.
    pub fn update(&mut self, later: Self) -> Result<(), ExtensionError> {
        self.m.extend(later.m);
        self.version = later.version.or(self.version.take());
        self.reqq = later.reqq.or(self.reqq);
        self.metadata_size = later.metadata_size.or(self.metadata_size);
        self.upload_only = later.upload_only.or(self.upload_only);
        self.request_length = later.request_length.or(self.request_length);
        check_count(self.m.len())
    }

    /// The payload of the extended message, its id not included.
    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            m: self.m.iter().map(|(name, &id)| (ByteBuf::from(name.as_bytes()), id.into())).collect(),
            metadata_size: self.metadata_size.map(i64::from),
            reqq: self.reqq.map(i64::from),
            request_length: self.request_length.map(i64::from),
            upload_only: self.upload_only.map(i64::from),
            version: self.version.as_ref().map(|text| ByteBuf::from(text.as_bytes())),
        };
        bencode::to_bytes(&wire)
    }

    /// Reads the payload of an extended message with id 0. Keys we do not know are skipped, and so are
    /// extensions whose names are not text or are longer than [`limits::EXTENSION_NAME_BYTES`].
    ///
    /// # Errors
    /// If it is not one bencoded dictionary, is beyond the limits, or one of its values is not what
    /// its key stands for.
    pub fn decode(payload: &[u8]) -> Result<Self, ExtensionError> {
        let wire: Wire = bencode::from_bytes(payload, Limits::EXTENSION)?;
        check_count(wire.m.len())?;
        let mut m = BTreeMap::new();
        for (name, id) in wire.m {
            let id = u8::try_from(id).map_err(|_| ExtensionError::Number { key: "m" })?;
            if let Ok(name) = String::from_utf8(name.into_vec())
                && name.len() <= limits::EXTENSION_NAME_BYTES
            {
                m.insert(name, id);
            }
        }
        let metadata_size = number("metadata_size", wire.metadata_size)?.filter(|&size| size > 0);
        if metadata_size.is_some_and(|size| size as usize > limits::INFO_BYTES) {
            return Err(ExtensionError::Number { key: "metadata_size" });
        }
        Ok(Self {
            m,
            version: wire.version.map(|text| client_text(&text)),
            reqq: number("reqq", wire.reqq)?,
            metadata_size,
            upload_only: wire.upload_only.map(|flag| flag != 0),
            request_length: number("samara_reqlen", wire.request_length)?,
        })
    }
}

/// Why a payload is not an extension handshake.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExtensionError {
    /// It is not one bencoded dictionary, is beyond the limits, or has a value of the wrong type.
    #[error("the extension handshake is malformed: {0}")]
    Bencode(#[from] BencodeError),
    /// A number makes no sense for its key.
    #[error("the extension handshake has an impossible number for {key}")]
    Number {
        /// The key.
        key: &'static str,
    },
    /// More extensions than anybody speaks.
    #[error("the extension handshake names more than {} extensions", limits::EXTENSIONS)]
    TooManyExtensions,
}

/// The handshake as bencode has it; fields in the order of their keys.
#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(default)]
    m: BTreeMap<ByteBuf, i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata_size: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reqq: Option<i64>,
    #[serde(default, rename = "samara_reqlen", skip_serializing_if = "Option::is_none")]
    request_length: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload_only: Option<i64>,
    #[serde(default, rename = "v", skip_serializing_if = "Option::is_none")]
    version: Option<ByteBuf>,
}

fn check_count(extensions: usize) -> Result<(), ExtensionError> {
    if extensions > limits::EXTENSIONS { Err(ExtensionError::TooManyExtensions) } else { Ok(()) }
}

fn number(key: &'static str, value: Option<i64>) -> Result<Option<u32>, ExtensionError> {
    value.map(u32::try_from).transpose().map_err(|_| ExtensionError::Number { key })
}

/// Text as long as we keep it, whatever bytes it was.
fn client_text(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    let ends = text.char_indices().map(|(start, char)| start + char.len_utf8());
    let end = ends.take_while(|&end| end <= limits::CLIENT_BYTES).last().unwrap_or(0);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests;
