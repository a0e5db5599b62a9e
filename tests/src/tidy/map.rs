//! The README's architecture map and the source tree must name the same modules.

use super::{Source, Tree};

/// Folders whose modules the map lists, two levels deep.
const MAPPED: [&str; 3] = ["proto/src", "tracker/src", "peer/src"];

/// Complaints about paths the map names that do not exist, and about modules it does not name.
///
/// The map is every fenced block below a heading that contains "Architecture" or "Map". A path in it
/// starts with a package's folder; `{a,b}` stands for each of its parts; `.rs` may be left out.
pub fn readme_map(tree: &Tree) -> Vec<String> {
    let Some(readme) = tree.file("README.md") else {
        return vec!["README.md is missing: write it, with an architecture map".to_owned()];
    };
    let named = paths_in(&readme.text);
    if named.is_empty() {
        return vec![
            "README.md has no map: below a heading \"Architecture\", list the modules by path in a fenced block"
                .to_owned(),
        ];
    }
    let modules = modules(tree);
    let mut complaints = Vec::new();
    for path in &named {
        let exists = tree.0.iter().any(|source| {
            module_of(source) == *path || source.path == *path || source.path.starts_with(&format!("{path}/"))
        });
        if !exists {
            complaints.push(format!("README.md's map names {path}, which does not exist: take it out"));
        }
    }
    for module in &modules {
        if !named.contains(module) {
            complaints
                .push(format!("README.md's map does not name {module}: add it with half a line on its job"));
        }
    }
    complaints
}

fn module_of(source: &Source) -> &str {
    source.path.strip_suffix(".rs").unwrap_or(&source.path)
}

fn modules(tree: &Tree) -> Vec<String> {
    let mut modules = Vec::new();
    for folder in MAPPED {
        for source in tree.rust_under(&[folder]) {
            let below = source.path[folder.len() + 1..].trim_end_matches(".rs");
            let depth = below.split('/').count();
            let is_root = matches!(below, "lib" | "main") || below.starts_with("bin/");
            if depth <= 2 && !is_root && !source.is_test() {
                modules.push(format!("{folder}/{below}"));
            }
        }
    }
    modules
}

fn paths_in(readme: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let (mut in_section, mut in_block) = (false, false);
    for line in readme.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if line.starts_with('#') && !in_block {
            in_section = line.contains("Architecture") || line.contains("Map") || line.contains(" map");
        } else if in_section && in_block {
            // A comment after the paths of a line is prose; braces may hold spaces.
            let joined = join_braces(line);
            for word in joined.split_whitespace() {
                let starts =
                    ["proto/", "tracker/", "peer/", "tests/"].iter().any(|top| word.starts_with(top));
                if starts {
                    paths.extend(expand(word.trim_end_matches([',', ';', ':', '.'])));
                }
            }
        }
    }
    for path in &mut paths {
        *path = path.trim_end_matches('/').trim_end_matches(".rs").to_owned();
    }
    paths.sort();
    paths.dedup();
    paths
}

fn join_braces(line: &str) -> String {
    let mut depth = 0usize;
    line.chars()
        .filter(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 || !c.is_whitespace()
        })
        .collect()
}

/// `a/{b,c/{d,e}}` as `a/b`, `a/c/d`, `a/c/e`.
fn expand(word: &str) -> Vec<String> {
    let Some(open) = word.find('{') else { return vec![word.to_owned()] };
    let (mut depth, mut close) = (0usize, None);
    let mut commas = Vec::new();
    for (at, byte) in word.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b',' if depth == 1 => commas.push(at),
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            close = Some(at);
            break;
        }
    }
    let Some(close) = close else { return vec![word.to_owned()] };
    let mut starts = vec![open + 1];
    starts.extend(commas.iter().map(|at| at + 1));
    commas.push(close);
    let parts = starts.into_iter().zip(commas).map(|(start, end)| &word[start..end]);
    parts.flat_map(|part| expand(&format!("{}{part}{}", &word[..open], &word[close + 1..]))).collect()
}
