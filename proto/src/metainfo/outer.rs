//! What a `.torrent` says beside its info dictionary: where to announce, and who made it.

use super::limits;
use crate::bencode::Value;

/// The part of a metainfo that the info-hash does not cover. None of it is worth refusing a torrent for:
/// what is malformed or beyond the caps is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outer {
    pub(super) trackers: Vec<Vec<String>>,
    pub(super) url_list: Vec<String>,
    pub(super) comment: Option<String>,
    pub(super) created_by: Option<String>,
    pub(super) creation_date: Option<i64>,
}

impl Outer {
    pub(super) fn read(root: Value<'_>) -> Self {
        let mut outer = Self {
            url_list: root.get("url-list").map(urls).unwrap_or_default(),
            comment: text(root, &["comment", "comment.utf-8"]),
            created_by: text(root, &["created by"]),
            creation_date: root.get("creation date").and_then(|date| date.as_int()),
            ..Self::default()
        };
        outer.url_list.truncate(limits::TRACKERS);
        let tiers = root.get("announce-list").and_then(|tiers| tiers.as_list());
        outer.set_trackers(tiers.into_iter().flatten().take(limits::TRACKERS).map(urls).collect());
        if outer.trackers.is_empty() {
            outer.set_trackers(root.get("announce").map(urls).into_iter().collect());
        }
        outer
    }

    /// Keeps the tiers' usable URLs, as many as the cap allows.
    pub(super) fn set_trackers(&mut self, tiers: Vec<Vec<String>>) {
        let mut room = limits::TRACKERS;
        self.trackers = tiers;
        for tier in &mut self.trackers {
            tier.retain(|url| is_usable(url));
            tier.truncate(room);
            room -= tier.len();
        }
        self.trackers.retain(|tier| !tier.is_empty());
    }
}

/// The URLs in a string or a list of strings.
fn urls(value: Value<'_>) -> Vec<String> {
    let alone = value.as_str();
    let listed = value.as_list().into_iter().flatten().take(limits::TRACKERS).filter_map(|url| url.as_str());
    let urls = alone.into_iter().chain(listed).map(str::trim);
    urls.filter(|url| is_usable(url)).map(str::to_owned).collect()
}

fn is_usable(url: &str) -> bool {
    !url.is_empty() && url.len() <= limits::URL_BYTES
}

/// Free text under the first of `keys` that is there.
fn text(root: Value<'_>, keys: &[&str]) -> Option<String> {
    let found = keys.iter().find_map(|key| root.get(key)?.as_bytes())?;
    let mut text = String::from_utf8_lossy(&found[..found.len().min(limits::TEXT_BYTES)]).into_owned();
    if text.ends_with('\u{FFFD}') && found.len() > limits::TEXT_BYTES {
        text.pop();
    }
    Some(text).filter(|text| !text.is_empty())
}
