//! A change against its base: two files of runs, as a table of means.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::report::mean;

/// The figures compared, with their headings.
const FIGURES: [(&str, &str); 6] = [
    ("efficiency", "η"),
    ("seconds", "seconds"),
    ("mean_seconds", "mean s"),
    ("seed_bytes_ratio", "seed/F"),
    ("duplicate_ratio", "dup/F"),
    ("control_ratio", "control/F"),
];

/// What is compared with what: scenario, leeches, pieces.
type Key = (String, u64, u64);

/// Runs of one key.
type Runs = BTreeMap<Key, Vec<Value>>;

/// The table of means of both files, each of one JSON object a line; what only one of them has is told too.
///
/// # Errors
/// Which line of which file is not a run.
pub fn table(old: &str, new: &str) -> Result<String, String> {
    let (old, new) = (runs("the old file", old)?, runs("the new file", new)?);
    let mut out = String::from("| scenario | leeches | runs |");
    for (_, heading) in FIGURES {
        let _ = write!(out, " {heading} |");
    }
    out.push_str("\n|---|---|---|");
    out.push_str(&"---|".repeat(FIGURES.len()));
    out.push('\n');
    for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(key))) {
        let (before, after) = (old.get(key), new.get(key));
        let counts = [before, after].map(|runs| runs.map_or(0, Vec::len));
        let _ = write!(out, "| {} | {} | {} → {} |", key.0, key.1, counts[0], counts[1]);
        for (figure, _) in FIGURES {
            let _ = write!(out, " {} |", change(before, after, figure));
        }
        out.push('\n');
    }
    Ok(out)
}

fn runs(file: &str, text: &str) -> Result<Runs, String> {
    let mut runs = Runs::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = || format!("line {} of {file} is not a run as --json prints it", at + 1);
        let run: Value = serde_json::from_str(line).map_err(|_| wrong())?;
        let scenario = run["scenario"].as_str().ok_or_else(wrong)?.to_owned();
        let key = (scenario, run["leeches"].as_u64().unwrap_or(0), run["pieces"].as_u64().unwrap_or(0));
        runs.entry(key).or_default().push(run);
    }
    Ok(runs)
}

fn change(before: Option<&Vec<Value>>, after: Option<&Vec<Value>>, figure: &str) -> String {
    let mean_of = |runs: &Vec<Value>| mean(runs.iter().filter_map(|run| run[figure].as_f64()));
    match (before.map(mean_of), after.map(mean_of)) {
        (Some(before), Some(after)) if before != 0.0 => {
            format!("{before:.4} → {after:.4} ({:+.1} %)", (after / before - 1.0) * 100.0)
        }
        (Some(before), Some(after)) => format!("{before:.4} → {after:.4}"),
        (Some(only), None) => format!("{only:.4} → –"),
        (None, Some(only)) => format!("– → {only:.4}"),
        (None, None) => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_stand_beside_each_other_and_what_is_missing_is_told() {
        let old = "{\"scenario\":\"a\",\"leeches\":8,\"pieces\":4,\"efficiency\":0.5}\n\
                   {\"scenario\":\"a\",\"leeches\":8,\"pieces\":4,\"efficiency\":0.7}\n";
        let new = "{\"scenario\":\"a\",\"leeches\":8,\"pieces\":4,\"efficiency\":0.9}\n\
                   {\"scenario\":\"b\",\"leeches\":2,\"pieces\":4,\"efficiency\":1.0}\n";
        let table = table(old, new).unwrap();
        assert!(table.contains("| a | 8 | 2 → 1 | 0.6000 → 0.9000 (+50.0 %) |"), "{table}");
        assert!(table.contains("| b | 2 | 0 → 1 | – → 1.0000 |"), "{table}");
        assert!(super::table(old, "nonsense").is_err());
    }
}
