//! Recorded histories with everything that follows from them: `golden/NAME/`.
//!
//! `events.jsonl` under `rules/` gives `expected.jsonl`, the lines that `weir replay --output
//! jsonl` prints for decisions and violations. `WEIR_GOLDEN=write` writes what comes out; the
//! difference is to be read before it is kept.

use std::{fs, path::Path};

use weir_replay_tests::recorded::replay_lines;
use weir_schema::RuleFile;

fn rules(directory: &Path) -> Vec<RuleFile> {
    let mut files: Vec<RuleFile> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .flatten()
        .map(|entry| RuleFile {
            path: entry.file_name().to_string_lossy().into_owned(),
            text: fs::read_to_string(entry.path()).expect("a rule file can be read"),
        })
        .collect();
    files.sort();
    files
}

#[test]
fn golden_histories_decide_as_they_always_did() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut stories: Vec<_> = fs::read_dir(&golden)
        .expect("there are golden histories")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    stories.sort();
    assert!(stories.len() >= 12, "{stories:?}");
    let mut differ = Vec::new();
    for story in stories {
        let events = fs::read_to_string(story.join("events.jsonl")).expect("a history has events");
        let lines: String = replay_lines(rules(&story.join("rules")), &events)
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        let kept = story.join("expected.jsonl");
        if std::env::var("WEIR_GOLDEN").is_ok_and(|word| word == "write") {
            fs::write(&kept, &lines).expect("the tree can be written");
        }
        let expected = fs::read_to_string(&kept).unwrap_or_default();
        if let Some(number) = (0..lines.lines().count().max(expected.lines().count()))
            .find(|number| lines.lines().nth(*number) != expected.lines().nth(*number))
        {
            differ.push(format!(
                "{} line {}:\n  kept {}\n  now  {}",
                kept.display(),
                number + 1,
                expected.lines().nth(number).unwrap_or("nothing"),
                lines.lines().nth(number).unwrap_or("nothing"),
            ));
        }
    }
    assert!(
        differ.is_empty(),
        "{}\n\nto keep what is now: WEIR_GOLDEN=write cargo test -p weir-replay-tests --test proof golden",
        differ.join("\n")
    );
}
