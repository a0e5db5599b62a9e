//! What a person sees who opens the tracker in a browser.

use crate::registry::Totals;

pub(super) fn render(totals: Totals) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Samara tracker</title>\n\
         <h1>Samara tracker</h1>\n\
         <p>This is a BitTorrent tracker: it helps the first peers of a swarm to find each other. \
         Add this page's address followed by <code>announce</code> to a torrent.</p>\n\
         <p>It knows {} peers in {} swarms. <a href=\"metrics\">More figures</a></p>\n</html>\n",
        totals.entries, totals.swarms,
    )
}
