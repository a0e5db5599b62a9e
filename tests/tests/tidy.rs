//! The source text keeps the rules of the architecture, and the rules themselves can fail.

use std::path::Path;

use samara_tests::tidy::rules::RULES;
use samara_tests::tidy::text::{blank_comments_and_strings, blank_inline_tests, has_word};
use samara_tests::tidy::{Source, Tree};

/// A small tree that keeps every rule.
const GOOD: [(&str, &str); 10] = [
    (
        "Cargo.toml",
        "[workspace.dependencies]\n# Formats.\nserde = \"1\" # the types behind bencode\n\n[profile.dev]\ndebug = 1\n",
    ),
    (
        "README.md",
        "# Samara\n\n## Architecture\n\n```text\nproto/src/{bencode, wire}  bytes\nproto/src/wire/codec.rs\npeer/src/engine  the brain\npeer/src/node\n```\n",
    ),
    ("proto/src/lib.rs", "//! Nouns and arithmetic of BitTorrent.\n"),
    (
        "proto/src/bencode.rs",
        "//! A guarded scan of bencode.\npub fn scan() {}\n#[cfg(test)]\nmod tests {\n    fn t() { Some(1).unwrap(); }\n}\n",
    ),
    ("proto/src/wire.rs", "//! The peer wire as values, never tokio.\n"),
    ("proto/src/wire/codec.rs", "//! Values to bytes and back.\npub fn decode() { let _ = \"Instant\"; }\n"),
    (
        "proto/fuzz/fuzz_targets/bytes.rs",
        "#![no_main]\n//! Feeds bytes to every decoder.\nuse samara_proto::{bencode, wire::codec};\n",
    ),
    ("proto/fuzz/Cargo.toml", "[[bin]]\nname = \"bytes\"\npath = \"fuzz_targets/bytes.rs\"\n"),
    ("peer/src/engine.rs", "//! The brain of the swarm.\n"),
    ("peer/src/node.rs", "//! The engine's one driver.\nfn turn() { engine.handle(now, input); }\n"),
];

/// For each rule, in order: a file that replaces or joins the good tree and breaks that rule alone.
const BROKEN: [(&str, &str); 10] = [
    ("proto/src/wire.rs", "//! The peer wire as values.\nuse std::time::Instant;\n"),
    ("proto/src/wire.rs", "//! Samara.\n"),
    ("peer/src/handle.rs", "//! What a program embedding us calls.\n"),
    ("Cargo.toml", "[workspace.dependencies]\nserde = \"1\"\n"),
    ("peer/src/lib.rs", "//! A peer of the swarm.\nfn f() { self.engine.handle(now, Input::Wake); }\n"),
    ("peer/src/node.rs", "//! The engine's one driver.\nuse samara_tracker::registry;\n"),
    ("peer/src/lib.rs", "LONG"),
    (
        "proto/fuzz/fuzz_targets/bytes.rs",
        "#![no_main]\n//! Feeds bytes to one decoder.\nuse samara_proto::bencode;\n",
    ),
    ("peer/src/node.rs", "//! The engine's one driver.\nfn turn() { input.unwrap(); }\n"),
    ("peer/src/node.rs", "//! The engine's one driver.\nfn f() { mpsc::unbounded_channel() }\n"),
];

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree(files.iter().map(|(path, text)| Source::new(path, text)).collect())
}

#[test]
fn the_source_keeps_every_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace");
    let tree = Tree::read(root);
    let mut report = String::new();
    for (claim, rule) in RULES {
        for complaint in rule(&tree) {
            report.push_str(&format!("\n  {claim}\n    {complaint}"));
        }
    }
    assert!(report.is_empty(), "the source breaks its rules:{report}\n");
}

#[test]
fn no_rule_complains_about_a_tree_that_keeps_them() {
    for (claim, rule) in RULES {
        assert_eq!(rule(&tree(&GOOD)), Vec::<String>::new(), "{claim}");
    }
}

#[test]
fn every_rule_complains_about_a_tree_that_breaks_it() {
    for ((claim, rule), (path, text)) in RULES.iter().zip(BROKEN) {
        let long = format!("//! A peer of the swarm.\n{}", "\n".repeat(800));
        let text = if text == "LONG" { &long } else { text };
        let mut files = GOOD.to_vec();
        files.retain(|(kept, _)| *kept != path);
        files.push((path, text));
        assert_eq!(rule(&tree(&files)).len(), 1, "{claim}");
    }
}

#[test]
fn a_map_that_names_what_is_gone_is_noticed() {
    let mut files = GOOD.to_vec();
    files.retain(|(path, _)| *path != "peer/src/node.rs");
    let complaints = samara_tests::tidy::map::readme_map(&tree(&files));
    assert_eq!(complaints.len(), 1);
    assert!(complaints[0].contains("peer/src/node"), "{complaints:?}");
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = r##"let a = "Instant // \" x"; // Instant
let b = 'I'; let c: &'static str = r#"Instant " "#; /* Instant /* nested */ */ let Instants = b'\'';
"##;
    let code = blank_comments_and_strings(text);
    assert!(!has_word(&code, "Instant"), "{code}");
    assert!(has_word(&code, "Instants") && has_word(&code, "static"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn inline_tests_are_not_shipped() {
    let code = "fn a() { x }\n#[cfg(test)]\nmod tests {\n  fn b() { y { } }\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}\n";
    let shipped = blank_inline_tests(code);
    assert!(!shipped.contains("fn b") && shipped.contains("fn c") && shipped.contains("fn d"), "{shipped}");
    assert_eq!(shipped.lines().count(), code.lines().count());
}
