//! How long one changed rule takes over a million events of ten thousand applications, beside one
//! plain replay of the same history in the same run.
//!
//! `cargo bench -p weir-engine --bench backtest`; `-- --quick` is a short round. The history is
//! read from a file, as `weir backtest --events` and `weir replay --events` read it; both are told
//! the same rules. The tags of the applications move, so that there are as many at the end as at the
//! beginning. `-- --events N` is another length. Three changes are measured: of a rule of one team of eight, of a rule that every
//! application comes by, and none.

#[path = "../../rules/benches/step/history.rs"]
#[expect(dead_code, reason = "the core's bench needs more of it")]
mod history;
#[path = "support/ratio.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod ratio;

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::Path,
    time::Instant,
};

use ratio::{Better, Ratio};
use weir_engine::{
    backtest::{Question, Report, Source, Unwatched, run},
    replay::{Replay, lines},
};
use weir_rules::{Execution, Settings};
use weir_schema::{Body, Event, RuleFile};

/// Seconds that a backtest of one changed rule may take.
const GOAL_SECONDS: f64 = 3.0;

/// What takes longer is measured once.
const LONG_SECONDS: f64 = 20.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` runs benches too, to see that they work.
    let quick = arguments.iter().any(|argument| argument == "--quick")
        || !arguments.iter().any(|argument| argument == "--bench");
    let length = arguments
        .windows(2)
        .find(|pair| pair[0] == "--events")
        .map(|pair| pair[1].parse().expect("--events N"));
    let (apps, events, rounds) = if quick {
        (200, 5_000, 1)
    } else {
        (10_000, length.unwrap_or(1_000_000), 3)
    };
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("events.jsonl");
    let rules = write(&path, apps, events);
    let bytes = std::fs::metadata(&path).expect("it is there").len();
    println!(
        "{events} events of {apps} applications, {} rules, {} MB",
        rules.len(),
        bytes >> 20
    );
    let team = changed(
        &rules,
        "stage-0",
        "scan.critical == 0",
        "scan.critical == 0 && scan.high < 6",
    );
    let all = changed(&rules, "many-highs", "scan.high > 40", "scan.high > 8");
    for (what, new) in [
        ("a rule of one team", &team),
        ("a rule that every application comes by", &all),
        ("no rule", &rules),
    ] {
        let (mut ratios, mut seconds) = (Vec::new(), Vec::new());
        let mut report = None;
        for _ in 0..rounds {
            let plain = replay(&path, &rules);
            let began = Instant::now();
            report = Some(backtest(&path, &rules, new));
            let took = began.elapsed().as_secs_f64();
            ratios.push(took / plain);
            seconds.push(took);
            if took > LONG_SECONDS {
                break;
            }
        }
        let Some(report) = report else { continue };
        println!(
            "{what} changed: {:.2} s at best; {} decisions and {} under the new rules; {:?}",
            seconds.iter().copied().fold(f64::MAX, f64::min),
            report.old.decisions,
            report.new.decisions,
            report.totals
        );
        if !quick {
            let goal = GOAL_SECONDS;
            Ratio::of(&seconds).print("  seconds", Better::Lower, goal, goal);
        }
        Ratio::of(&ratios).print("  to one replay of the same file", Better::Lower, 2.0, 1.0);
    }
}

/// Writes a history; gives its rules.
fn write(path: &Path, apps: usize, events: usize) -> Vec<RuleFile> {
    let mut maker = history::Maker::new(7, apps);
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let mut beginning = maker.beginning().into_iter();
    let mut rules = Vec::new();
    let mut written = 0;
    while written < events {
        let (at, mut body) = beginning.next().unwrap_or_else(|| maker.event());
        move_tag(&mut body);
        if let Body::RulesActivated(activated) = body {
            rules = activated.files;
            continue;
        }
        written += 1;
        let event = Event {
            id: written.to_string().into(),
            source: "bench".into(),
            time: Some(at),
            subject: None,
            body,
        };
        writeln!(file, "{}", event.to_value()).expect("it is written");
    }
    file.flush().expect("it is written");
    rules
}

/// Makes one tag that moves of an application's numbered ones.
fn move_tag(body: &mut Body) {
    let tag = match body {
        Body::ImagePushed(push) => push.tag.as_mut(),
        Body::TagDeleted(gone) => Some(&mut gone.tag),
        _ => None,
    };
    if let Some(tag) = tag
        && tag.as_str().starts_with("1.")
    {
        *tag = "1.0".parse().expect("a tag");
    }
}

/// The rules with another clause in one of them.
fn changed(rules: &[RuleFile], name: &str, from: &str, to: &str) -> Vec<RuleFile> {
    let mut new = rules.to_vec();
    let file = new
        .iter_mut()
        .find(|file| file.path == format!("{name}.cel"));
    let file = file.expect("the rule is there");
    assert!(file.text.contains(from), "{}", file.text);
    file.text = file.text.replace(from, to);
    new
}

/// Replays the file as `weir replay` does; gives the seconds.
fn replay(path: &Path, rules: &[RuleFile]) -> f64 {
    let began = Instant::now();
    let input = BufReader::with_capacity(1 << 16, File::open(path).expect("it is there"));
    let print = |line: &weir_engine::replay::Line| {
        std::hint::black_box(line);
        Ok(())
    };
    let mut replay = Replay::new(
        Settings::default(),
        rules.to_vec(),
        Execution::AtOnce,
        print,
    );
    lines(&mut replay, input).expect("it reads");
    // Without the digest of the state, which a backtest does not make either.
    began.elapsed().as_secs_f64()
}

fn backtest(path: &Path, old: &[RuleFile], new: &[RuleFile]) -> Report {
    let question = Question {
        new: new.to_vec(),
        old: Some(old.to_vec()),
        since: None,
        until: None,
        limit: 100,
        jobs: None,
    };
    run(&Source::File(path.to_owned()), &question, &Unwatched).expect("it runs")
}
