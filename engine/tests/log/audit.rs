//! Audit queries: every answer is what a look at every record gives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use weir_engine::log::LogOptions;
use weir_engine::log::index::Index;
use weir_engine::node::Ledger;
use weir_engine::query::{self, Asker, By, EventFilter, QueryError};
use weir_rules::pattern::RepositoryPattern;
use weir_rules::{Execution, Settings};
use weir_schema::Timestamp;

use crate::history::History;
use crate::mixed;
use crate::records::Random;

const SEGMENT: u32 = 150;

/// Filters that are tried; `WEIR_QUESTIONS` asks for more.
const QUESTIONS: u64 = 160;

pub fn open(dir: &Path) -> Ledger {
    Ledger::open(
        dir,
        LogOptions::default(),
        Settings::default(),
        Execution::AtOnce,
    )
    .expect("the ledger opens")
}

/// A log of every kind of event, and its records.
pub fn filled(dir: &Path) -> (Ledger, Index) {
    let mut ledger = open(dir);
    mixed::fill(&mut ledger, 0..12);
    // Last, for its rules take little of what there is.
    let mut history = History::new(80, 12);
    ledger
        .take(history.take(500), None)
        .expect("they are taken");
    let index = Index::with_segments(ledger.reader(), SEGMENT);
    index.catch_up(&|| false).expect("it is indexed");
    (ledger, index)
}

pub fn records(index: &Index) -> Vec<Value> {
    let rows = index.reader().range(1, None);
    rows.map(|row| serde_json::from_slice(&row.expect("it reads").1).expect("it is JSON"))
        .collect()
}

/// The texts of the fields of these names, wherever in the data they stand; with the names of the
/// fields above each.
fn texts<'a>(value: &'a Value, names: &[&str], above: &str, found: &mut Vec<(String, &'a str)>) {
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| texts(item, names, above, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if ["annotations", "labels", "files", "payload"].contains(&&**name) {
                    continue;
                }
                match value {
                    Value::String(text) if names.contains(&&**name) => {
                        found.push((above.to_owned(), text));
                    }
                    Value::Array(items) if names.contains(&&**name) => {
                        let items = items.iter().filter_map(Value::as_str);
                        found.extend(items.map(|text| (above.to_owned(), text)));
                        texts(value, names, name, found);
                    }
                    _ => texts(value, names, name, found),
                }
            }
        }
        _ => {}
    }
}

/// What a record has of a kind of thing.
fn has<'a>(record: &'a Value, kind: &str) -> BTreeSet<&'a str> {
    let event = &record["event"];
    let names: &[&str] = match kind {
        "type" => return event["type"].as_str().into_iter().collect(),
        "repository" | "scope" => &["repository", "target"],
        "digest" => &[
            "digest",
            "covers",
            "subject",
            "config_digest",
            "payload_digest",
            "report_digest",
        ],
        "rule" => &["rule", "deny_rule"],
        "vulnerability" => &["vulnerability", "id"],
        "reason" => &["code", "waive"],
        "override" => &["override_id", "overrides"],
        "hold" => &["hold_id"],
        "tag" => &["tag"],
        "actor" => &["actor"],
        "verdict" => &["verdict"],
        _ => panic!("{kind}"),
    };
    let mut found = Vec::new();
    texts(&event["data"], names, "", &mut found);
    let here = found.into_iter().filter(|(above, text)| match kind {
        "repository" => above != "scope",
        "scope" => above == "scope",
        "vulnerability" => above == "findings" || text.starts_with("CVE") && above.is_empty(),
        _ => above != "findings",
    });
    here.map(|(_, text)| text).collect()
}

/// The places that a record names: objects with a repository and a tag.
fn places(record: &Value) -> Vec<(&str, &str)> {
    let data = &record["event"]["data"];
    let objects = [data, &data["source"], &data["target"]];
    let mut found = Vec::new();
    for object in objects {
        if let Some((repository, tag)) = object["repository"].as_str().zip(object["tag"].as_str()) {
            found.push((repository, tag));
        }
    }
    found
}

/// What is in a digest, by the first record that says it.
pub fn within(records: &[Value], digest: &str) -> BTreeSet<String> {
    let mut known = BTreeSet::from([digest.to_owned()]);
    let mut open = vec![digest.to_owned()];
    while let Some(digest) = open.pop() {
        let told = records.iter().find_map(|record| {
            let data = &record["event"]["data"];
            let index = data["media_type"].as_str()?.contains("index")
                || data["media_type"].as_str()?.contains("list");
            let this = data["digest"] == *digest && index;
            data["manifests"].as_array().filter(|_| this)
        });
        for child in told.into_iter().flatten() {
            let digest = child["digest"].as_str().unwrap_or_default().to_owned();
            let kind = child["media_type"].as_str().unwrap_or_default();
            if known.insert(digest.clone()) && (kind.contains("index") || kind.contains("list")) {
                open.push(digest);
            }
        }
    }
    known
}

/// What an application is: the tag that names it, and what is in it.
struct App<'a> {
    place: Option<(&'a str, &'a str)>,
    within: BTreeSet<String>,
}

fn app_of<'a>(records: &'a [Value], text: &'a str) -> App<'a> {
    let (place, root) = match text.rsplit_once(':') {
        Some((repository, tag)) if !text.starts_with("sha") => {
            let bound = records.iter().rev().find_map(|record| {
                let data = &record["event"]["data"];
                match record["event"]["type"].as_str()? {
                    "weir.image.pushed" => {
                        let here = data["repository"] == *repository && data["tag"] == *tag;
                        data["digest"].as_str().filter(|_| here)
                    }
                    "weir.promotion.completed" => {
                        let target = &data["target"];
                        let here = target["repository"] == *repository && target["tag"] == *tag;
                        data["source"]["digest"].as_str().filter(|_| here)
                    }
                    _ => None,
                }
            });
            (Some((repository, tag)), bound.expect("it was bound"))
        }
        _ => (None, text),
    };
    App {
        place,
        within: within(records, root),
    }
}

/// Whether a filter takes a record, without any index.
fn takes(
    record: &Value,
    filter: &EventFilter,
    patterns: &[RepositoryPattern],
    apps: &[App<'_>],
) -> bool {
    let any = |kind: &str, wanted: &[String]| {
        wanted.is_empty() || {
            let has = has(record, kind);
            wanted.iter().any(|wanted| has.contains(&**wanted))
        }
    };
    let place = if patterns.is_empty() {
        any("tag", &filter.tags)
    } else if filter.tags.is_empty() {
        let named = has(record, "repository");
        let scopes = has(record, "scope");
        patterns.iter().any(|wanted| {
            let covers = |scope: &str| {
                let plain = wanted.wildcards() == 0;
                let scope = scope.parse::<RepositoryPattern>();
                plain && scope.is_ok_and(|scope| scope.matches(wanted.as_str()))
            };
            named.iter().any(|name| wanted.matches(name))
                || scopes.iter().any(|scope| wanted.matches(scope))
                || scopes.iter().any(|scope| covers(scope))
        })
    } else {
        places(record).into_iter().any(|(repository, tag)| {
            let here = patterns.iter().any(|wanted| wanted.matches(repository));
            here && filter.tags.iter().any(|wanted| wanted == tag)
        })
    };
    let digest = |wanted: &String| {
        let begins = |digest: &&str| {
            digest.starts_with(&**wanted)
                || digest
                    .split_once(':')
                    .is_some_and(|(_, digits)| digits.starts_with(&**wanted))
        };
        has(record, "digest").iter().any(begins)
    };
    let app = |wanted: &App<'_>| {
        let named = wanted.place;
        let digests = has(record, "digest");
        named.is_some_and(|place| places(record).contains(&place))
            || digests.iter().any(|digest| wanted.within.contains(*digest))
    };
    let at: Timestamp = record["recorded_at"]
        .as_str()
        .and_then(|at| at.parse().ok())
        .expect("a time");
    let time = |text: &String| text.parse::<Timestamp>().expect("a time");
    let kinds = &filter.kinds;
    let kind = record["event"]["type"].as_str().unwrap_or_default();
    let is_kind = |wanted: &String| match wanted.split_once('*') {
        Some((first, rest)) => {
            let short = kind.strip_prefix("weir.").unwrap_or(kind);
            [kind, short].iter().any(|kind| {
                kind.len() >= wanted.len() - 1 && kind.starts_with(first) && kind.ends_with(rest)
            })
        }
        None => kind == wanted || kind.strip_prefix("weir.") == Some(&**wanted),
    };
    let seq = record["seq"].as_u64().expect("a sequence");
    place
        && (kinds.is_empty() || kinds.iter().any(is_kind))
        && (filter.digests.is_empty() || filter.digests.iter().any(digest))
        && (apps.is_empty() || apps.iter().any(app))
        && any("actor", &filter.actors)
        && any("rule", &filter.rules)
        && any("vulnerability", &filter.vulnerabilities)
        && any("verdict", &filter.verdicts)
        && any("reason", &filter.reasons)
        && any("override", &filter.overrides)
        && any("hold", &filter.holds)
        && filter.since.as_ref().is_none_or(|since| at >= time(since))
        && filter.until.as_ref().is_none_or(|until| at < time(until))
        && seq > filter.after
        && filter.before.is_none_or(|before| seq < before)
}

fn slowly(records: &[Value], filter: &EventFilter) -> Vec<u64> {
    let patterns = filter.repositories.iter();
    let patterns: Vec<RepositoryPattern> = patterns
        .map(|text| text.parse().expect("a pattern"))
        .collect();
    let apps = filter.apps.iter();
    let apps: Vec<App<'_>> = apps.map(|text| app_of(records, text)).collect();
    let found = records
        .iter()
        .filter(|record| takes(record, filter, &patterns, &apps));
    let mut found: Vec<u64> = found.filter_map(|record| record["seq"].as_u64()).collect();
    if filter.newest_first {
        found.reverse();
    }
    found
}

/// All pages of a filter, one after the other.
fn pages(index: &Index, filter: &EventFilter) -> Vec<u64> {
    let mut filter = filter.clone();
    let mut found = Vec::new();
    loop {
        let page = query::events(index, &filter).expect("a page");
        assert!(page.events.len() <= filter.limit);
        for event in &page.events {
            let end = format!("\"seq\":{},\"v\":1}}", event.seq);
            assert!(event.json.ends_with(&end), "{}", event.json);
            found.push(event.seq);
        }
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => return found,
        }
    }
}

/// A filter that takes at least the record at hand.
fn filter_of(record: &Value, random: &mut Random, turn: u64) -> Option<EventFilter> {
    let mut filter = EventFilter {
        limit: 1 + random.below(200) as usize,
        newest_first: turn.is_multiple_of(2),
        ..EventFilter::default()
    };
    let kinds = [
        "type",
        "repository",
        "tag",
        "digest",
        "actor",
        "rule",
        "vulnerability",
        "verdict",
        "reason",
        "override",
        "hold",
        "place",
        "app",
        "time",
        "scope",
    ];
    for _ in 0..1 + random.below(2) {
        let kind = kinds[random.below(kinds.len() as u64) as usize];
        let mut pick = |kind: &str| {
            let all: Vec<&str> = has(record, kind).into_iter().collect();
            let place = random.below(all.len().max(1) as u64) as usize;
            all.get(place).map(|text| (*text).to_owned())
        };
        match kind {
            "type" => {
                let kind = pick("type")?;
                let short = kind.strip_prefix("weir.").unwrap_or(&kind).to_owned();
                let (first, _) = short.split_once('.')?;
                filter.kinds = match turn % 3 {
                    0 => vec![kind],
                    1 => vec![short],
                    _ => vec![format!("{first}.*"), "weir.*.granted".to_owned()],
                };
            }
            "repository" => {
                let name = pick("repository")?;
                let (first, last) = name.split_once('/')?;
                filter.repositories = match turn % 4 {
                    0 | 1 => vec![name],
                    2 => vec![format!("{first}/*")],
                    _ => vec![format!("*/{last}"), "prod/**".to_owned()],
                };
            }
            "scope" => filter.repositories = vec![pick("scope")?],
            "place" => {
                let (repository, tag) = *places(record).first()?;
                filter.repositories = vec![repository.to_owned()];
                filter.tags = vec![tag.to_owned()];
            }
            "digest" => {
                let digest = pick("digest")?;
                filter.digests = match turn % 3 {
                    0 => vec![digest],
                    1 => vec![digest.get(..20)?.to_owned()],
                    _ => vec![digest.get(7..19)?.to_owned()],
                };
            }
            "app" => {
                let app = match turn % 2 {
                    0 => pick("digest")?,
                    _ if record["event"]["type"] == "weir.image.pushed" => {
                        let (repository, tag) = *places(record).first()?;
                        format!("{repository}:{tag}")
                    }
                    _ => return None,
                };
                filter.apps = vec![app];
            }
            "time" => {
                let at = record["recorded_at"].as_str()?.to_owned();
                match turn % 3 {
                    0 => filter.since = Some(at),
                    1 => filter.until = Some(at),
                    _ => filter.after = record["seq"].as_u64()? - 1,
                }
            }
            "tag" => filter.tags.extend(pick("tag")),
            "actor" => filter.actors.extend(pick("actor")),
            "rule" => filter.rules.extend(pick("rule")),
            "vulnerability" => filter.vulnerabilities.extend(pick("vulnerability")),
            "verdict" => filter.verdicts.extend(pick("verdict")),
            "reason" => filter.reasons.extend(pick("reason")),
            "override" => filter.overrides.extend(pick("override")),
            _ => filter.holds.extend(pick("hold")),
        }
    }
    Some(filter)
}

#[test]
fn every_filter_number_and_group_is_what_a_look_at_every_record_gives() {
    let dir = TempDir::new().expect("a directory");
    let (_ledger, index) = filled(dir.path());
    let records = records(&index);
    let lengths = 1_500..6_000;
    assert!(
        lengths.contains(&records.len()),
        "{} records",
        records.len()
    );
    let mut random = Random::new(81);
    let groups = [
        "actor",
        "rule",
        "type",
        "repository",
        "verdict",
        "reason",
        "tag",
        "override",
    ];
    let questions = std::env::var("WEIR_QUESTIONS").ok();
    let questions = questions.map_or(QUESTIONS, |text| text.parse().expect("a number"));
    let (mut asked, mut found) = (0, 0);
    for turn in 0..questions {
        let record = &records[random.below(records.len() as u64) as usize];
        let Some(mut filter) = filter_of(record, &mut random, turn) else {
            continue;
        };
        let wanted = slowly(&records, &filter);
        // Pages of one record are pages too, but not by the thousand.
        filter.limit = filter.limit.max(wanted.len() / 20);
        asked += 1;
        found += wanted.len();
        assert_eq!(pages(&index, &filter), wanted, "{filter:?}");
        let count = query::count(&index, &filter, &Asker::default())
            .expect("a number")
            .found;
        assert_eq!(count, wanted.len() as u64, "{filter:?}");
        let by = groups[turn as usize % groups.len()];
        let mut terms: BTreeMap<&str, u64> = BTreeMap::new();
        for seq in wanted {
            for term in has(&records[seq as usize - 1], by) {
                *terms.entry(term).or_default() += 1;
            }
        }
        let grouped = query::groups(
            &index,
            &filter,
            by.parse::<By>().expect("a name"),
            &Asker::default(),
        );
        let grouped = grouped.expect("groups").found;
        assert!(grouped.is_sorted_by(|a, b| a.1 >= b.1), "the most first");
        let grouped: BTreeMap<&str, u64> = grouped
            .iter()
            .map(|(term, count)| (&**term, *count))
            .collect();
        assert_eq!(grouped, terms, "by {by} of {filter:?}");
    }
    assert!(
        asked > 80 && found > 3_000,
        "{asked} filters found {found} records"
    );
}

#[test]
fn conditions_are_looked_at_record_by_record() {
    let dir = TempDir::new().expect("a directory");
    let (_ledger, index) = filled(dir.path());
    let records = records(&index);
    type Look = fn(&Value) -> bool;
    let conditions: [(&str, Look); 5] = [
        (
            "data.verdict == 'block' && data.reasons.size() > 1",
            |record| {
                let data = &record["event"]["data"];
                data["verdict"] == "block"
                    && data["reasons"].as_array().is_some_and(|all| all.len() > 1)
            },
        ),
        ("seq % 7 == 3", |record| {
            record["seq"].as_u64().is_some_and(|seq| seq % 7 == 3)
        }),
        ("event.type.endsWith('.completed')", |record| {
            record["event"]["type"]
                .as_str()
                .is_some_and(|kind| kind.ends_with(".completed"))
        }),
        ("data.findings.exists(f, f.severity == 'HIGH')", |record| {
            let findings = record["event"]["data"]["findings"].as_array();
            findings
                .into_iter()
                .flatten()
                .any(|finding| finding["severity"] == "HIGH")
        }),
        (
            "recorded_at >= timestamp('2026-03-03T00:00:00Z') && event.source == '/weir'",
            |record| {
                let at = record["recorded_at"].as_str().unwrap_or_default();
                at >= "2026-03-03T00:00:00Z" && record["event"]["source"] == "/weir"
            },
        ),
    ];
    for (turn, (expression, look)) in conditions.into_iter().enumerate() {
        for kinds in [
            vec![],
            vec!["decision.made".to_owned(), "scan.*".to_owned()],
        ] {
            let filter = EventFilter {
                expression: Some(expression.into()),
                kinds,
                limit: 40,
                newest_first: turn % 2 == 0,
                ..EventFilter::default()
            };
            let mut wanted = slowly(&records, &filter);
            wanted.retain(|seq| look(&records[*seq as usize - 1]));
            assert_eq!(pages(&index, &filter), wanted, "{filter:?}");
            let count = query::count(&index, &filter, &Asker::default()).expect("a number");
            assert_eq!(count.found, wanted.len() as u64, "{filter:?}");
            let groups = query::groups(
                &index,
                &filter,
                "type".parse().expect("a name"),
                &Asker::default(),
            );
            let groups = groups.expect("groups").found;
            let sum: u64 = groups.iter().map(|(_, count)| count).sum();
            assert_eq!(sum, count.found, "{filter:?}");
            assert_eq!(count.undecided, None, "{filter:?}");
        }
        assert!(records.iter().any(look), "{expression}");
    }
}

#[test]
fn records_of_which_a_condition_says_nothing_are_counted_and_told() {
    let dir = TempDir::new().expect("a directory");
    let (_ledger, index) = filled(dir.path());
    let filter = EventFilter {
        expression: Some("seq < 5 || 10 / (seq % 2) > 0".into()),
        limit: 3,
        ..EventFilter::default()
    };
    let records = records(&index).len() as u64;
    let even = (5..=records).filter(|seq| seq % 2 == 0).count() as u64;
    let count = query::count(&index, &filter, &Asker::default()).expect("a number");
    assert_eq!(count.found, records - even);
    let told = count.undecided.expect("it is told");
    assert_eq!((told.count, told.seq), (even, 6));
    assert!(told.problem.contains("where:1:12: "), "{}", told.problem);
    assert!(
        told.problem.contains("division by zero"),
        "{}",
        told.problem
    );
    let groups = query::groups(
        &index,
        &filter,
        "type".parse().expect("a name"),
        &Asker::default(),
    );
    assert_eq!(groups.expect("groups").undecided, Some(told));
    let page = query::events(&index, &filter).expect("a page");
    assert_eq!(page.undecided, None, "this page looked at 1, 2, 3 only");
    let all = EventFilter {
        limit: 10_000,
        ..filter
    };
    let page = query::events(&index, &all).expect("a page");
    assert_eq!(page.undecided.map(|told| told.count), Some(even));
}

#[test]
fn pages_stay_good_while_the_log_grows() {
    let dir = TempDir::new().expect("a directory");
    let (mut ledger, index) = filled(dir.path());
    let before = records(&index);
    let mut grow = |seed: u64| mixed::fill(&mut ledger, seed..seed + 1);
    for (turn, newest_first) in [(0, true), (1, false)] {
        let mut filter = EventFilter {
            kinds: vec!["decision.made".into()],
            repositories: vec!["dev/*".into()],
            limit: 30,
            newest_first,
            ..EventFilter::default()
        };
        let at_first = slowly(&records(&index), &filter);
        let mut found = Vec::new();
        for page in 0.. {
            let told = query::events(&index, &filter).expect("a page");
            found.extend(told.events.iter().map(|event| event.seq));
            if page < 4 {
                grow(100 + turn * 10 + page);
                if page % 2 == 0 {
                    index.catch_up(&|| false).expect("it is indexed");
                }
            }
            let Some(next) = told.next else { break };
            filter.cursor = Some(next);
        }
        let now = records(&index);
        assert!(now.len() > before.len());
        filter.cursor = None;
        if newest_first {
            // What came after the first page is above it.
            assert_eq!(found, at_first);
        } else {
            assert_eq!(found, slowly(&now, &filter));
        }
    }
    // A cursor goes on with what it was given for, and nothing else.
    let mut filter = EventFilter {
        limit: 3,
        ..EventFilter::default()
    };
    let page = query::events(&index, &filter).expect("a page");
    filter.cursor = page.next;
    filter.actors = vec!["alice".into()];
    let refused = query::events(&index, &filter).map(|_| ());
    assert!(
        matches!(&refused, Err(QueryError::Invalid(why)) if why.contains("another question")),
        "{refused:?}"
    );
}

#[test]
fn a_page_that_takes_long_is_short_and_says_where_to_go_on() {
    let dir = TempDir::new().expect("a directory");
    let (ledger, index) = filled(dir.path());
    let last = ledger.reader().head().next_seq - 1;
    let filter = EventFilter {
        expression: Some("seq == 1".into()),
        limit: 10,
        newest_first: true,
        ..EventFilter::default()
    };
    // A filter that finds everything has exactly the pages that it needs.
    let everything = EventFilter {
        limit: 10_000,
        ..EventFilter::default()
    };
    let page = query::events(&index, &everything).expect("a page");
    assert_eq!((page.events.len() as u64, page.next), (last, None));
    assert_eq!(page.through, last);
    assert_eq!(pages(&index, &filter), [1]);
    let nothing = EventFilter {
        actors: vec!["nobody".into()],
        ..EventFilter::default()
    };
    let page = query::events(&index, &nothing).expect("a page");
    assert_eq!(
        (page.events.len(), page.next, page.through),
        (0, None, last)
    );
}
