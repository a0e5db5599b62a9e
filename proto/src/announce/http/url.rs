//! The URLs requests go to, made from a torrent's announce URL.

/// `announce` with `query` added to the query it may already have. A fragment is dropped.
pub fn announce_url(announce: &str, query: &str) -> String {
    let base = announce.split('#').next().unwrap_or_default();
    let joint = match base.find('?') {
        None => "?",
        Some(at) if at + 1 == base.len() || base.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{base}{joint}{query}")
}

/// The scrape URL that belongs to `announce`: the last path component's leading `announce` becomes
/// `scrape` (BEP 48). `None` if it does not begin so: then the tracker cannot be scraped.
pub fn scrape_url(announce: &str) -> Option<String> {
    let path_end = announce.find(['?', '#']).unwrap_or(announce.len());
    let (path, rest) = announce.split_at(path_end);
    let slash = path.rfind('/')?;
    let suffix = path[slash + 1..].strip_prefix("announce")?;
    Some(format!("{}scrape{suffix}{rest}", &path[..=slash]))
}
