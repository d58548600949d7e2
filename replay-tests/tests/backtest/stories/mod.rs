//! What is given, what follows and what is told, case by case.
//!
//! Each story is told under rules, as a daemon records it, and decided again under others: from
//! the log, from the log's export and from its events, and the slow way.

mod copies;
mod people;
mod stages;
mod told;

use weir_engine::backtest::{Difference, Outcome, Report};
use weir_replay_tests::{content::Contents, rule_text::rule_files, show, story::tell};
use weir_rules::Execution;

use crate::{Asked, compare, file, lines, log, run, slow};

const CHAIN: &str = "
    to-staging: dev/* -> staging/{1} when scan.critical == 0
    to-prod: staging/* -> prod/{1} when true";

const STRICT: &str = "
    to-staging: dev/* -> staging/{1} when scan.critical == 0 && scan.high == 0
    to-prod: staging/* -> prod/{1} when true";

/// Tells the story under `rules`, decides it again under `new`, and compares what differs.
fn check(rules: &str, new: &str, story: &str, expected: &str) -> Report {
    let report = report(rules, new, story);
    let mut contents = Contents::default();
    for word in story.split(|next: char| next.is_whitespace() || next == '@' || next == ',') {
        contents.know(word);
    }
    let told: Vec<String> = report
        .differences
        .iter()
        .map(|one| line(one, &contents))
        .collect();
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(told, expected, "as it is:\n{}", told.join("\n"));
    report
}

fn report(rules: &str, new: &str, story: &str) -> Report {
    let events = tell(rules, story).events;
    let execution = match story.trim_start().starts_with("commands") {
        true => Execution::Commands,
        false => Execution::AtOnce,
    };
    let asked = Asked {
        old: None,
        new: rule_files(new),
    };
    let (_dir, log, records, exported) = log(&events, execution);
    let report = run(&log, &asked);
    assert_eq!(run(&exported, &asked), report);
    let numbers: Vec<u64> = (1..=events.len() as u64).collect();
    assert_eq!(
        lines(&run(&file(&events), &asked), &numbers),
        lines(&report, &records)
    );
    let inputs: Vec<slow::Input> = events
        .into_iter()
        .map(|event| (event.time.expect("a story has times"), event.body))
        .collect();
    let slow = slow::compare(&inputs, None, &asked.new);
    if let Err(problem) = compare(&report, &records, &slow) {
        panic!("{problem}");
    }
    report
}

fn line(one: &Difference, contents: &Contents) -> String {
    let source = &one.source;
    let digest = source.digest.as_ref().expect("it has a digest");
    format!(
        "{} {}:{}@{} by {}: {} / {}",
        one.kind,
        source.repository,
        source.tag,
        contents.name(digest),
        one.rule,
        side(&one.old, contents),
        side(&one.new, contents)
    )
}

fn side(side: &Outcome, contents: &Contents) -> String {
    if let Some(violation) = side.violations.last() {
        let word = if violation.found { "found" } else { "cleared" };
        return format!("{word} {}", show::reasons(&violation.reasons, contents));
    }
    if let Some(promoted) = &side.promoted {
        return format!("-> {}:{}", promoted.target.repository, promoted.target.tag);
    }
    match (&side.decided, &side.absent) {
        (Some(decided), _) => {
            let verdict = decided.verdict;
            format!("{verdict} {}", show::reasons(&decided.reasons, contents))
                .trim_end()
                .to_owned()
        }
        (None, Some(absent)) => absent.clone(),
        (None, None) => "nothing".to_owned(),
    }
}
