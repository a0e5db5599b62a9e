//! Scrape: what a tracker knows of swarms, without taking part in them (BEP 48).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_bytes::Bytes;

use super::query::{QueryError, append, decode_20, pairs};
use super::response::{count, scan_answer};
use super::{AnswerError, SCRAPE_HASHES};
use crate::announce::SwarmCounts;
use crate::bencode::to_bytes;
use crate::infohash::InfoHash;

/// Which swarms a client asks about: at least one, at most [`SCRAPE_HASHES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeRequest {
    /// In the order asked, repetitions included.
    pub info_hashes: Vec<InfoHash>,
}

impl ScrapeRequest {
    /// Reads a query, without its `?`. Keys other than `info_hash` are skipped.
    ///
    /// # Errors
    ///
    /// When there is no info-hash (a full scrape is not answered), too many, or one is not 20 bytes.
    pub fn from_query(query: &[u8]) -> Result<Self, QueryError> {
        let mut info_hashes = Vec::new();
        for (_, value) in pairs(query)?.filter(|(key, _)| *key == b"info_hash") {
            if info_hashes.len() == SCRAPE_HASHES {
                return Err(QueryError::TooManyHashes);
            }
            info_hashes.push(InfoHash(decode_20("info_hash", value)?));
        }
        if info_hashes.is_empty() {
            return Err(QueryError::Missing("info_hash"));
        }
        Ok(Self { info_hashes })
    }

    /// Writes the query, without a `?`.
    pub fn to_query(&self) -> String {
        let mut query = String::new();
        for info_hash in &self.info_hashes {
            append(&mut query, "info_hash", info_hash.as_bytes());
        }
        query
    }
}

/// The answer to a scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapeResponse {
    /// What is known of each swarm.
    pub files: BTreeMap<InfoHash, Scraped>,
}

/// One swarm's part of a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scraped {
    /// Seeds, finishers, and the others.
    pub counts: SwarmCounts,
    /// Of the others, those that still download: all but partial seeds (BEP 21).
    pub downloaders: Option<u32>,
}

#[derive(Serialize)]
struct Answer<'a> {
    files: BTreeMap<&'a Bytes, File>,
}

#[derive(Serialize)]
struct File {
    complete: u32,
    downloaded: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    downloaders: Option<u32>,
    incomplete: u32,
}

impl ScrapeResponse {
    /// The answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let files = self.files.iter().map(|(info_hash, &Scraped { counts, downloaders })| {
            let SwarmCounts { complete, downloaded, incomplete } = counts;
            (Bytes::new(info_hash.as_bytes()), File { complete, downloaded, downloaders, incomplete })
        });
        to_bytes(&Answer { files: files.collect() })
    }

    /// Reads an answer. Keys of `files` that are no info-hash are skipped, absent figures are 0.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Refused`] when the tracker said no; otherwise when the bytes do not start with a
    /// dictionary with a dictionary `files`.
    pub fn decode(bytes: &[u8]) -> Result<Self, AnswerError> {
        let scan = scan_answer(bytes)?;
        let Some(files) = scan.root().get("files").and_then(|value| value.as_dict()) else {
            return Err(AnswerError::Field("files"));
        };
        let mut response = Self::default();
        for (key, file) in files {
            let Some(info_hash) = InfoHash::from_slice(key) else { continue };
            let counts = SwarmCounts {
                complete: count(file, "complete").unwrap_or(0),
                downloaded: count(file, "downloaded").unwrap_or(0),
                incomplete: count(file, "incomplete").unwrap_or(0),
            };
            response.files.insert(info_hash, Scraped { counts, downloaders: count(file, "downloaders") });
        }
        Ok(response)
    }
}
