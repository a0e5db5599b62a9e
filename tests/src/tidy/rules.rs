//! The rules themselves; each complaint names the place and the way out.

use super::text::has_word;
use super::{Source, Tree};

/// Parts that are functions of their arguments alone.
const PURE: [&str; 4] = ["proto/src/", "peer/src/engine", "tracker/src/registry", "tracker/src/quota"];

/// Words that betray a clock, chance, IO or waiting.
const IMPURE: [&str; 27] = [
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "std::fs",
    "File::open",
    "File::create",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "tokio",
    "futures",
    "async",
    "await",
    "thread",
    "thread_local",
    "OsRng",
    "SysRng",
    "getrandom",
    "ThreadRng",
    "rand::rng",
    "from_os_rng",
    "std::env",
    "std::process",
    "println",
    "eprintln",
    "libp2p::",
    "tracing",
];

/// Longest file, in lines.
const LONGEST_FILE: usize = 800;

/// A rule: complaints about the tree.
pub type Rule = fn(&Tree) -> Vec<String>;

/// Every rule with the claim it makes.
pub const RULES: [(&str, Rule); 10] = [
    ("the pure parts have no clock, chance, IO or waiting", purity),
    ("every file opens with a sentence of purpose", module_sentence),
    ("README's map is the tree", super::map::readme_map),
    ("every dependency says why it is here", dependency_reasons),
    ("one driver feeds the engine", one_driver),
    ("dependencies point one way", arrows),
    ("no file grows beyond reading", file_length),
    ("every decoder is fuzzed", fuzzed),
    ("production code does not unwrap", no_unwrap),
    ("every queue is bounded", bounded_queues),
];

/// The pure parts name nothing that reads a clock, draws entropy, does IO, spawns or waits.
pub fn purity(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in tree.rust_under(&PURE) {
        // Tests may print what they measured.
        let prints = |word: &str| source.is_test() && word.ends_with("println");
        for (line, word) in lines_with(&source.code, &IMPURE).filter(|(_, word)| !prints(word)) {
            complaints.push(format!(
                "{}:{line}: `{word}` in a pure part: take the moment, the random generator or the bytes as an argument",
                source.path
            ));
        }
    }
    complaints
}

/// Every Rust file starts with a `//!` paragraph that is a sentence.
pub fn module_sentence(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in tree.rust_under(&[""]) {
        // The engine of a fuzz target must be the file's first attribute, before its documentation.
        let mut lines = source.text.lines().skip_while(|line| line.starts_with("#!["));
        let first: Vec<&str> =
            lines.by_ref().map_while(|line| line.strip_prefix("//! ")).map(str::trim).collect();
        let sentence = first.join(" ");
        let is_sentence = sentence.split_whitespace().count() >= 3 && sentence.ends_with(['.', ':', '?']);
        if !is_sentence {
            complaints.push(format!(
                "{}: start it with `//!` and a sentence of at least three words that says what the file is for",
                source.path
            ));
        }
    }
    complaints
}

/// Every entry of `[workspace.dependencies]` has a comment on its line.
pub fn dependency_reasons(tree: &Tree) -> Vec<String> {
    let Some(manifest) = tree.file("Cargo.toml") else {
        return vec!["Cargo.toml is missing at the top level".to_owned()];
    };
    let mut complaints = Vec::new();
    let mut inside = false;
    for (at, line) in manifest.text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim() == "[workspace.dependencies]";
        } else if inside && line.contains('=') && !line.starts_with('#') {
            let reason = line.split_once(" # ").map_or("", |(_, reason)| reason);
            if reason.split_whitespace().count() < 2 {
                complaints
                    .push(format!("Cargo.toml:{}: say after ` # ` what this dependency is for", at + 1));
            }
        }
    }
    complaints
}

/// Only the node feeds the engine in production, only the simulator and benchmarks elsewhere.
pub fn one_driver(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in tree.rust_under(&["peer/", "tests/"]) {
        let drives = ["peer/src/node.rs", "peer/src/engine", "peer/benches", "tests/src/sim"];
        if drives.iter().any(|allowed| source.path.starts_with(allowed)) {
            continue;
        }
        for (line, text) in numbered(&source.code) {
            let is_call = text.contains("engine.handle(")
                || text.contains("Engine::handle")
                || (text.contains(".handle(") && text.contains("Input::"));
            if is_call {
                complaints.push(format!(
                    "{}:{line}: only peer/src/node.rs calls `Engine::handle`: send the fact to the node's loop instead",
                    source.path
                ));
            }
        }
    }
    complaints
}

/// `peer → tracker → proto`; the node library does without the tracker.
pub fn arrows(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let forbidden = [
        ("proto/", &["samara_tracker", "samara_peer", "samara-tracker", "samara-peer"][..]),
        ("tracker/", &["samara_peer", "samara-peer", "libp2p::", "libp2p.workspace"][..]),
        ("peer/src/engine", &["crate::net", "crate::disk", "crate::node", "crate::handle", "crate::cli"][..]),
        ("peer/src/disk", &["crate::net", "crate::node", "crate::cli"][..]),
        ("peer/src/net", &["crate::node", "crate::cli"][..]),
        ("peer/src/node", &["samara_tracker", "crate::cli"][..]),
        ("peer/src/handle", &["samara_tracker", "crate::cli"][..]),
        ("peer/src/net", &["samara_tracker"][..]),
        ("peer/src/disk", &["samara_tracker"][..]),
    ];
    for source in &tree.0 {
        for (prefix, words) in forbidden {
            if !source.path.starts_with(prefix) || source.is_test() {
                continue;
            }
            for (line, word) in lines_with(&source.shipped, words) {
                complaints.push(format!(
                    "{}:{line}: `{word}` points against the arrows (peer → tracker → proto; cli → node → net, disk, \
                     engine): move the shared part down",
                    source.path
                ));
            }
        }
    }
    complaints
}

/// No file is longer than 800 lines.
pub fn file_length(tree: &Tree) -> Vec<String> {
    let too_long = tree.rust_under(&[""]).filter(|source| source.text.lines().count() > LONGEST_FILE);
    too_long
        .map(|source| {
            let lines = source.text.lines().count();
            format!(
                "{}: {lines} lines, {LONGEST_FILE} at most: give a part of its job a file of its own",
                source.path
            )
        })
        .collect()
}

/// Every module of proto with a public decoder is named by a fuzz target, and every target is listed.
pub fn fuzzed(tree: &Tree) -> Vec<String> {
    const DECODERS: [&str; 9] = [
        "pub fn from_bytes",
        "pub fn from_info",
        "pub fn decode",
        "pub fn parse",
        "pub fn from_query",
        "pub fn from_wire",
        "pub fn verify(",
        "pub fn scan",
        "impl FromStr for",
    ];
    let targets: Vec<&Source> = tree.rust_under(&["proto/fuzz/fuzz_targets/"]).collect();
    let manifest = tree.file("proto/fuzz/Cargo.toml").map_or("", |source| &source.text);
    let mut complaints = Vec::new();
    for source in tree.rust_under(&["proto/src/"]) {
        let decodes = DECODERS.iter().any(|decoder| source.shipped.contains(decoder));
        if source.is_test() || !decodes {
            continue;
        }
        let name = public_module(tree, source.path.trim_end_matches(".rs"));
        if !targets.iter().any(|target| has_word(&target.code, name)) {
            complaints.push(format!(
                "{}: it decodes hostile bytes, but no file in proto/fuzz/fuzz_targets names its module: add one",
                source.path
            ));
        }
    }
    for target in targets {
        let file = target.path.trim_start_matches("proto/fuzz/");
        if !manifest.contains(file) {
            complaints.push(format!("{}: list it as a [[bin]] in proto/fuzz/Cargo.toml", target.path));
        }
    }
    complaints
}

/// No `.unwrap()` outside tests.
pub fn no_unwrap(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in tree.rust_under(&["proto/src", "tracker/src", "peer/src"]) {
        if source.is_test() {
            continue;
        }
        for (line, text) in numbered(&source.shipped) {
            if text.contains(".unwrap()") || text.contains(".unwrap_err()") {
                complaints.push(format!(
                    "{}:{line}: return the error, or `expect` with the reason it cannot happen",
                    source.path
                ));
            }
        }
    }
    complaints
}

/// No channel without a bound outside tests, unless a comment right above says what bounds it.
pub fn bounded_queues(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in tree.rust_under(&["proto/src", "tracker/src", "peer/src"]) {
        if source.is_test() {
            continue;
        }
        let lines: Vec<&str> = source.text.lines().collect();
        for (line, word) in lines_with(&source.shipped, &["unbounded_channel", "unbounded"]) {
            let above = &lines[line.saturating_sub(4)..line - 1];
            let is_import = lines[line - 1].trim_start().starts_with("use ");
            let is_explained =
                above.iter().any(|text| text.contains("//") && text.to_lowercase().contains("bound"));
            if !is_import && !is_explained {
                complaints.push(format!(
                    "{}:{line}: `{word}`: give the queue a bound and decide what happens when it is full, or say in a \
                     comment right above what bounds it",
                    source.path
                ));
            }
        }
    }
    complaints
}

/// The name of the module at `path`, or of the nearest one above it that the outside can name.
fn public_module<'a>(tree: &Tree, path: &'a str) -> &'a str {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let declaration = format!("mod {name};");
    let is_private = tree.file(&format!("{parent}.rs")).is_some_and(|source| {
        source.code.lines().any(|line| line.contains(&declaration) && !line.contains("pub mod"))
    });
    if is_private { public_module(tree, parent) } else { name }
}

fn numbered(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().map(|(at, line)| (at + 1, line))
}

fn lines_with<'a>(code: &'a str, words: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
    numbered(code).flat_map(move |(line, text)| {
        words.iter().filter(move |word| has_word(text, word)).map(move |word| (line, *word))
    })
}
