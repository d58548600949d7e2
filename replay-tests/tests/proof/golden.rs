//! Recorded histories with everything that follows from them: `golden/NAME/`.
//!
//! `events.jsonl` under `rules/` gives `expected.jsonl`, the lines that `weir replay --output
//! jsonl` prints for decisions and violations. `WEIR_GOLDEN=write` writes what comes out; the
//! difference is to be read before it is kept.

use std::{fs, path::Path};

use weir_replay_tests::recorded::{golden, golden_digests, golden_history, replay_lines};

#[test]
fn golden_histories_decide_as_they_always_did() {
    let stories = golden();
    assert!(stories.len() >= 12, "{stories:?}");
    let mut differ = Vec::new();
    for story in stories {
        let (rules, events) = golden_history(&story);
        let lines: String = replay_lines(rules, &events)
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

/// What `histories digests` prints, whatever it was compiled for.
const DIGESTS: &str = include_str!("../../golden-digests.txt");

#[test]
fn e51_the_state_digest_is_the_same_everywhere() {
    let lines = |digests: Vec<(String, weir_schema::Digest)>| -> String {
        let lines = digests.into_iter();
        lines
            .map(|(name, digest)| format!("{name} {digest}\n"))
            .collect()
    };
    let here = lines(golden_digests(false));
    if std::env::var("WEIR_GOLDEN").is_ok_and(|word| word == "write") {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden-digests.txt");
        return fs::write(kept, here).expect("the tree can be written");
    }
    assert_eq!(here, DIGESTS, "from the beginning");
    assert_eq!(
        lines(golden_digests(true)),
        DIGESTS,
        "from a snapshot after every record"
    );
    for _ in 0..2 {
        let program = env!("CARGO_BIN_EXE_histories");
        let other = std::process::Command::new(program).arg("digests").output();
        let other = other.expect("it starts");
        assert_eq!(
            String::from_utf8_lossy(&other.stdout),
            DIGESTS,
            "in a process of its own"
        );
    }
}
