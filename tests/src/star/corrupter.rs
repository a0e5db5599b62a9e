//! A real peer that corrupts what it gives: a process on a host of its own, and what its victims did about it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use samara_proto::metainfo::Metainfo;
use serde_json::json;

use super::hub::Host;
use super::run::Field;
use super::system::Leech;
use crate::process::Samara;
use crate::rogue::{self, Lie, Report};
use crate::scene::{PROMPT, path_text, text};

/// The command of this program by which it becomes the corrupter, with the arguments of [`serve`].
pub const COMMAND: &str = "corrupter";

/// What came of corrupting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Corruption {
    /// Bad blocks sent.
    pub blocks: u64,
    /// Peers that got one at least.
    pub victims: usize,
    /// Those of them that ended the link, and did not come back.
    pub rid_of_it: usize,
    /// Leeches that say they ended a link because of corrupt content.
    pub bans: usize,
}

impl Corruption {
    /// Whether everybody whom it gave a bad block has banned it, for that one block.
    pub fn is_punished(&self) -> bool {
        let (victims, blocks) = (self.victims, self.blocks as usize);
        victims > 0 && blocks <= victims && self.rid_of_it == victims && self.bans >= victims
    }
}

/// Gives corrupt blocks until killed, and says on standard output to whom.
///
/// # Panics
/// When it cannot read what it is to corrupt, or listen.
pub fn serve(torrent: &Path, content: &Path, address: IpAddr) {
    let bytes = std::fs::read(torrent).expect("the torrent is there");
    let metainfo = Arc::new(Metainfo::from_bytes(&bytes).expect("it was made by samara"));
    let runtime = tokio::runtime::Runtime::new().expect("the system has room for a runtime");
    runtime.block_on(async {
        let tell = |report: Report| match report {
            Report::Linked { peer } => println!("{}", json!({ "event": "linked", "peer": peer.to_string() })),
            Report::Ended { peer, blocks } => {
                println!("{}", json!({ "event": "ended", "peer": peer.to_string(), "blocks": blocks }));
            }
        };
        let at = rogue::start_at(address, Lie::CorruptBlocks, metainfo, content, tell).await;
        println!("{}", json!({ "event": "listening", "address": at.to_string() }));
        std::future::pending::<()>().await;
    });
}

/// Starts it; where it can be dialled.
pub(super) fn start(field: &Field, host: &Host) -> (Samara, String) {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut command: Command = host.command(program);
    let [torrent, content] = [&field.torrent, &field.content.path].map(|path| path_text(path));
    command.args([COMMAND, &torrent, &content, &host.address]);
    let mut process = Samara::listen_to(COMMAND, command);
    let address = text(&process.wait_for("listening", PROMPT), "address");
    (process, address)
}

/// What its victims did about it.
pub(super) fn judge(corrupter: &mut Samara, leeches: &[Leech]) -> Corruption {
    let mut links: BTreeMap<String, (u32, u32, u64)> = BTreeMap::new();
    for event in corrupter.events().iter().filter(|event| event["peer"].is_string()) {
        let (begun, ended, blocks) = links.entry(text(event, "peer")).or_default();
        match event["event"].as_str() {
            Some("linked") => *begun += 1,
            _ => *ended += 1,
        }
        *blocks += event["blocks"].as_u64().unwrap_or(0);
    }
    let victims = || links.values().filter(|(begun, ended, blocks)| *blocks > 0 || begun > ended);
    let has_banned = |leech: &&Leech| {
        let log = leech.process.standard_error();
        log.lines().any(|line| line.contains("disconnecting") && line.contains("Corrupt"))
    };
    Corruption {
        blocks: links.values().map(|(_, _, blocks)| blocks).sum(),
        victims: victims().count(),
        rid_of_it: victims().filter(|(begun, ended, _)| begun == ended).count(),
        bans: leeches.iter().filter(has_banned).count(),
    }
}
