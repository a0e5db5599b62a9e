//! Rules that the source text must keep, each a function from the tree to complaints that say what to do.

pub mod map;
pub mod rules;
pub mod text;

use std::path::Path;

use text::{blank_comments_and_strings, blank_inline_tests};

/// One text file of the repository.
pub struct Source {
    /// Its path from the top level, with `/` between components.
    pub path: String,
    /// What it says.
    pub text: String,
    /// The same for `.rs` files with comments and the insides of strings blanked, line by line.
    pub code: String,
    /// `code` without inline `#[cfg(test)]` modules: what is shipped.
    pub shipped: String,
}

impl Source {
    /// A file with this path and text, wherever they come from.
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank_comments_and_strings(text);
        let shipped = blank_inline_tests(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, shipped }
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it only exists for tests: a `tests.rs`, or anything in a folder called `tests` or `benches`.
    pub fn is_test(&self) -> bool {
        let mut components = self.path.split('/');
        components.any(|name| matches!(name, "tests" | "tests.rs" | "benches" | "fuzz_targets"))
    }
}

/// Every file the rules look at.
pub struct Tree(pub Vec<Source>);

impl Tree {
    /// Reads the working copy at `root`: the Rust sources, the manifests and the README.
    ///
    /// # Panics
    /// When a file cannot be read: the rules must not pass on half a tree.
    pub fn read(root: &Path) -> Self {
        let mut sources = Vec::new();
        for folder in ["proto", "tracker", "peer", "tests"] {
            collect(root, &root.join(folder), &mut sources);
        }
        for name in ["Cargo.toml", "README.md"] {
            if let Ok(text) = std::fs::read_to_string(root.join(name)) {
                sources.push(Source::new(name, &text));
            }
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        Self(sources)
    }

    /// The Rust files whose path starts with one of `prefixes`.
    pub fn rust_under<'a>(&'a self, prefixes: &'a [&str]) -> impl Iterator<Item = &'a Source> {
        self.0.iter().filter(|source| {
            source.is_rust() && prefixes.iter().any(|prefix| source.path.starts_with(prefix))
        })
    }

    /// The file with exactly this path.
    pub fn file(&self, path: &str) -> Option<&Source> {
        self.0.iter().find(|source| source.path == path)
    }
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("a listed entry is readable");
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | "corpus" | "artifacts" | "coverage") {
                collect(root, &path, sources);
            }
        } else if name.ends_with(".rs") || name == "Cargo.toml" {
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
            let relative = path.strip_prefix(root).expect("it was listed below the root");
            let relative = relative.to_string_lossy().replace('\\', "/");
            sources.push(Source::new(&relative, &text));
        }
    }
}
