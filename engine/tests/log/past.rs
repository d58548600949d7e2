//! Looking back: what the index finds of a few subjects says the same as the state of everything.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use weir_engine::log::LogOptions;
use weir_engine::log::index::{Index, Mention, mentions};
use weir_engine::node::{At, Ledger, state_at};
use weir_engine::query::{self, Query, QueryError};
use weir_replay_tests::generate;
use weir_rules::{Execution, Settings};

use crate::history::History;
use crate::mixed;

/// Histories that are looked at; `WEIR_HISTORIES` asks for more.
const HISTORIES: u64 = 4;

/// Sequences of each at which it is.
const LOOKS: usize = 5;

fn open(dir: &Path, execution: Execution) -> Ledger {
    Ledger::open(dir, LogOptions::default(), Settings::default(), execution)
        .expect("the ledger opens")
}

/// What a log ever named: places and digests.
fn named(index: &Index) -> (BTreeSet<(String, String)>, BTreeSet<String>) {
    let (mut places, mut vulnerabilities) = (BTreeSet::new(), BTreeSet::new());
    for row in index.reader().range(1, None) {
        let (_, bytes) = row.expect("it reads");
        mentions(&bytes, |mention| match mention {
            Mention::Place { repository, tag } => {
                places.insert((repository.to_owned(), tag.to_owned()));
            }
            Mention::Term(weir_engine::log::index::Dimension::Vulnerability, term) => {
                vulnerabilities.insert(term.to_owned());
            }
            Mention::Term(..) => {}
        });
    }
    (places, vulnerabilities)
}

/// Asks about every tag and vulnerability at a sequence, both ways.
fn check(index: &Index, seq: u64, what: &str, few: usize) -> usize {
    let state = state_at(index.reader(), At::Seq(seq)).expect("it folds");
    let (places, vulnerabilities) = named(index);
    let at = Some(seq.to_string());
    let mut asked = Vec::new();
    let repositories: BTreeSet<&String> = places.iter().map(|(repository, _)| repository).collect();
    for repository in repositories.into_iter().take(few) {
        asked.push(Query::Show {
            repository: repository.clone(),
            tag: None,
            at: at.clone(),
        });
    }
    for (repository, tag) in places.into_iter().take(few) {
        asked.push(Query::Show {
            repository: repository.clone(),
            tag: Some(tag.clone()),
            at: at.clone(),
        });
        asked.push(Query::Why {
            repository,
            tag,
            rule: None,
            at: at.clone(),
        });
    }
    for vulnerability in vulnerabilities.into_iter().take(few) {
        asked.push(Query::Impact {
            vulnerability,
            at: at.clone(),
        });
    }
    let mut told = 0;
    for query in asked {
        let quick = query::of_log(index, &query, &query::Asker::default());
        let quick: Result<Value, QueryError> =
            quick.map(|answer| answer.expect("the log answers what was"));
        let slow = query::of_state(&state, index.reader(), &query);
        told += usize::from(slow.is_ok());
        assert_eq!(quick, slow, "{what}, record {seq}: {query:?}");
    }
    told
}

#[test]
fn what_is_shown_of_a_tag_in_the_past_is_what_the_state_then_said() {
    let asked = std::env::var("WEIR_HISTORIES").ok();
    let histories = asked.map_or(HISTORIES, |text| text.parse().expect("a number"));
    let mut told = 0;
    for seed in 0..histories {
        let history = generate::mean(seed);
        let dir = TempDir::new().expect("a directory");
        let mut ledger = open(dir.path(), history.execution);
        let inputs = mixed::incoming(&history.inputs, seed);
        ledger.take(inputs, None).expect("they are taken");
        let reader = ledger.reader();
        let index = Index::with_segments(reader.clone(), 16);
        index.catch_up(&|| false).expect("it is indexed");
        let last = reader.head().next_seq - 1;
        for look in 0..LOOKS as u64 {
            let seq = last - look * last / LOOKS as u64;
            told += check(&index, seq, &format!("history {seed}"), usize::MAX);
        }
    }
    assert!(told > 20 * histories as usize, "{told} answers");
}

#[test]
fn it_is_so_on_a_long_log_with_promotions_over_stages() {
    let dir = TempDir::new().expect("a directory");
    let mut ledger = open(dir.path(), Execution::AtOnce);
    let mut history = History::new(60, 4);
    for _ in 0..10 {
        ledger
            .take(history.take(150), None)
            .expect("they are taken");
    }
    let reader = ledger.reader();
    let index = Index::with_segments(reader.clone(), 300);
    index.catch_up(&|| false).expect("it is indexed");
    let last = reader.head().next_seq - 1;
    let told = check(&index, last, "at the end", 60) + check(&index, last / 2, "in the middle", 30);
    assert!(told > 100, "{told} answers");
}

#[test]
fn of_a_log_that_no_thread_follows_the_records_are_indexed_when_much_is_looked_up() {
    let dir = TempDir::new().expect("a directory");
    let mut ledger = open(dir.path(), Execution::AtOnce);
    let mut history = History::new(61, 4);
    ledger
        .take(history.take(300), None)
        .expect("they are taken");
    let reader = ledger.reader();
    let last = reader.head().next_seq - 1;
    let index = Index::open(reader.clone());
    assert_eq!(index.indexed(), 1);
    assert!(check(&index, last / 2, "in the middle", 10) > 0);
    let indexed = index.indexed();
    assert!(last / 2 < indexed && indexed <= last, "{indexed} of {last}");
    assert!(check(&index, last, "at the end", 10) > 0);
    assert_eq!(index.indexed(), last + 1);
    let (places, _) = named(&index);
    for (repository, tag) in places.into_iter().take(10) {
        let at = None;
        let life = Query::History {
            repository,
            tag,
            at,
        };
        let unfollowed = Index::open(reader.clone());
        let told = |index: &Index| query::of_log(index, &life, &query::Asker::default());
        assert_eq!(told(&unfollowed), told(&index), "{life:?}");
        assert_eq!(unfollowed.indexed(), last + 1);
    }
    assert!(!dir.path().join("index").exists(), "nothing is stored");
}

#[test]
fn of_a_log_with_more_than_a_segment_that_is_not_stored_one_segment_is_indexed() {
    let dir = TempDir::new().expect("a directory");
    let mut ledger = open(dir.path(), Execution::AtOnce);
    let mut history = History::new(62, 4);
    ledger
        .take(history.take(100), None)
        .expect("they are taken");
    let index = Index::with_segments(ledger.reader(), 16);
    for _ in 0..2 {
        index.catch_up_in_memory(u64::MAX).expect("it reads");
        assert_eq!(index.indexed(), 17);
    }
    let last = ledger.reader().head().next_seq - 1;
    assert!(check(&index, last, "at the end", 10) > 0);
    index.catch_up(&|| false).expect("it is indexed");
    assert_eq!(index.indexed(), last + 1);
    assert!(check(&index, last, "indexed", 10) > 0);
}
