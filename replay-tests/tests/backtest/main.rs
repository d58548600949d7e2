//! The backtest against the slow way: two whole folds, compared by going through everything.

mod generated;
mod scope;
mod slow;
mod stories;

use weir_engine::{
    backtest::{self, Kind, Question, Report, Source, Unwatched},
    log::LogOptions,
    node::{Incoming, Ledger, Taken, export},
};
use weir_rules::{Execution, SUPERSEDED, Settings, WITHDRAWN, pattern::RepositoryPattern};
use weir_schema::{Body, Decision, Event, Position, Record, RuleFile, Timestamp};

use slow::{Input, Line};

/// What is asked of each history.
#[derive(Debug, Clone)]
struct Asked {
    old: Option<Vec<RuleFile>>,
    new: Vec<RuleFile>,
}

impl Asked {
    fn question(&self) -> Question {
        Question {
            new: self.new.clone(),
            old: self.old.clone(),
            since: None,
            until: None,
            limit: 10_000,
            jobs: None,
        }
    }
}

fn events(inputs: &[Input]) -> Vec<Event> {
    let numbered = inputs.iter().enumerate();
    let events = numbered.map(|(number, (at, body))| Event {
        id: (number + 1).to_string().into(),
        source: "history".into(),
        time: Some(*at),
        subject: None,
        body: body.clone(),
    });
    events.collect()
}

/// A file of events, one a line.
fn file(events: &[Event]) -> Source {
    let lines = events.iter().map(|event| format!("{}\n", event.to_value()));
    Source::Bytes(lines.collect::<String>().into_bytes())
}

/// A log of the events, with the record of each, and the same log exported.
fn log(events: &[Event], execution: Execution) -> (tempfile::TempDir, Source, Vec<u64>, Source) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut ledger = Ledger::open(&path, LogOptions::default(), Settings::default(), execution)
        .expect("the ledger opens");
    let incoming = events.iter().map(|event| Incoming {
        received: event.clone().into(),
        at: event.time.unwrap_or(Timestamp::EPOCH),
        position: Position::Local,
    });
    let (taken, _) = ledger
        .take(incoming.collect(), None)
        .expect("they are taken");
    let records = taken.into_iter().map(|taken| match taken {
        Taken::Recorded(record) => record,
        Taken::Repeated => panic!("every event has its own id"),
    });
    let mut exported = Vec::new();
    export(&ledger.reader(), &mut exported, |_| ()).expect("it is exported");
    let reader = ledger.reader();
    (
        dir,
        Source::Log(reader),
        records.collect(),
        Source::Bytes(exported),
    )
}

/// Of each input of a log, whether it is the outcome of a promotion that the log decided, or no outcome.
/// Before it decided any, every outcome is taken for Weir's own.
fn own(log: &Source) -> Vec<bool> {
    let Source::Log(reader) = log else {
        return Vec::new();
    };
    let (mut open, mut decides): (Vec<Decision>, bool) = (Vec::new(), false);
    let mut own = Vec::new();
    for row in reader.range(1, None) {
        let (_, bytes) = row.expect("it reads");
        let record = Record::decode(&bytes).expect("a record");
        if let Position::Step { .. } = record.position {
            if let Body::DecisionMade(decision) = record.event.body
                && decision.promotion_id.is_some()
            {
                decides = true;
                open.push(decision);
            }
            continue;
        }
        let (outcome, is_over) = match &record.event.body {
            Body::PromotionStarted(outcome) => (outcome, false),
            Body::PromotionCompleted(outcome) => (outcome, true),
            Body::PromotionFailed(outcome) => {
                let error = outcome.error.as_deref();
                (outcome, matches!(error, Some(SUPERSEDED | WITHDRAWN)))
            }
            _ => {
                own.push(true);
                continue;
            }
        };
        let decided = open.iter().position(|decision| {
            decision.promotion_id.as_ref() == Some(&outcome.promotion_id)
                && decision.rule == outcome.rule
                && decision.source.digest == outcome.source.digest
                && decision.target == outcome.target
        });
        own.push(decided.is_some() || !decides);
        if let Some(place) = decided.filter(|_| is_over) {
            open.remove(place);
        }
    }
    own
}

fn run(source: &Source, asked: &Asked) -> Report {
    backtest::run(source, &asked.question(), &Unwatched).expect("it runs")
}

/// What a report says, in the form of the slow way; `records` are the numbers of the inputs.
fn lines(report: &Report, records: &[u64]) -> Vec<Line> {
    let ordinal = |record: u64| {
        let place = records.iter().position(|known| *known == record);
        1 + place.unwrap_or_else(|| panic!("{record} is no input"))
    };
    let promoted = |side: &backtest::Outcome| {
        let promoted = side.promoted.as_ref()?;
        let target = format!("{}:{}", promoted.target.repository, promoted.target.tag);
        Some((target, ordinal(promoted.moment.seq)))
    };
    let mut lines: Vec<Line> = report
        .differences
        .iter()
        .map(|one| Line {
            kind: one.kind,
            ordinal: ordinal(one.moment.seq),
            rule: one.rule.clone(),
            source: format!("{}:{}", one.source.repository, one.source.tag),
            digest: one
                .source
                .digest
                .clone()
                .expect("what was decided on has a digest"),
            promoted: match one.kind {
                // Here the promotion is not what differs; it is shown all the same.
                kind if shows_more(kind) => [None, None],
                _ => [promoted(&one.old), promoted(&one.new)],
            },
        })
        .collect();
    lines.sort();
    lines
}

fn shows_more(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Meanwhile | Kind::OtherReasons | Kind::Violated | Kind::NoLongerViolated
    )
}

/// Compares a report with the slow way.
fn compare(report: &Report, records: &[u64], slow: &slow::Slow) -> Result<(), String> {
    let found = lines(report, records);
    if found != slow.lines {
        return Err(format!("found {found:#?}\nthe slow way {:#?}", slow.lines));
    }
    let fast =
        [&report.old, &report.new].map(|side| [side.decisions, side.promotions, side.violations]);
    let patterns: Vec<RepositoryPattern> = report
        .repositories
        .iter()
        .map(|pattern| pattern.parse().expect("a pattern"))
        .collect();
    let compared = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    let slow = slow.counts.each_ref().map(|side| {
        let compared = side.iter().filter(|(name, _)| compared(name));
        compared.fold([0; 3], |sum: slow::Counts, (_, counts)| {
            std::array::from_fn(|what| sum[what] + counts[what])
        })
    });
    if fast != slow {
        return Err(format!(
            "counts of old and new in {:?} are {fast:?}, the slow way's {slow:?}",
            report.repositories
        ));
    }
    let listed = report.differences.len() as u64;
    if report.count(|_| true) != listed || report.unlisted != 0 {
        return Err(format!("{:?} are counted, {listed} listed", report.totals));
    }
    for one in &report.differences {
        explained(one)?;
    }
    Ok(())
}

/// Whether a difference says what it is about on both sides.
fn explained(one: &backtest::Difference) -> Result<(), String> {
    for side in [&one.old, &one.new] {
        // Of violations one side has none to tell of.
        let quiet = matches!(one.kind, Kind::Violated | Kind::NoLongerViolated);
        if side.decided.is_none() && side.absent.is_none() && !quiet {
            return Err(format!("a side says nothing: {one:#?}"));
        }
    }
    Ok(())
}

/// The rules that a history puts in force first.
fn first_rules(inputs: &[Input]) -> Vec<RuleFile> {
    let first = inputs.iter().find_map(|(_, body)| match body {
        Body::RulesActivated(rules) => Some(rules.files.clone()),
        _ => None,
    });
    first.unwrap_or_default()
}
