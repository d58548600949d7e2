//! Looking back at one tag of a long ledger.

use std::path::Path;
use std::time::{Duration, Instant};

use weir_engine::log::LogOptions;
use weir_engine::log::index::{Index, Mention, mentions};
use weir_engine::node::{At, Ledger, open_log_to_read, state_at};
use weir_engine::query;
use weir_engine::query::Query;
use weir_rules::{Execution, Settings};

use crate::history::History;
use crate::ratio::{Better, Ratio};
use crate::records::Random;

/// Repositories that the ledger is about.
const REPOSITORIES: u64 = 10_000;

/// Looks back at random tags of a ledger of so many records, made once.
pub fn run(place: &Path, records: u64) {
    let dir = place.join(format!("{records}.ledger"));
    if !dir.join("whole").exists() {
        println!("making a ledger of {records} records, once ...");
        let mut ledger = Ledger::open(
            &dir,
            LogOptions::default(),
            Settings::default(),
            Execution::AtOnce,
        )
        .expect("the ledger opens");
        let mut history = History::new(9, REPOSITORIES);
        while ledger.reader().head().next_seq <= records {
            ledger
                .take(history.take(1024), None)
                .expect("they are taken");
        }
        ledger.keep_snapshot();
        std::fs::write(dir.join("whole"), "").expect("it is written");
    }
    let log = open_log_to_read(&dir).expect("the log opens");
    let index = Index::open(log.reader());
    index.catch_up(&|| false).expect("it is indexed");
    let last = index.reader().head().next_seq - 1;
    let mut random = Random::new(14);
    let (mut shows, mut whys, mut histories) = (Vec::new(), Vec::new(), Vec::new());
    while shows.len() < 60 {
        let seq = 1 + random.below(last);
        let bytes = index
            .reader()
            .get(seq)
            .expect("it reads")
            .expect("it is there");
        let mut place = None;
        mentions(&bytes, |mention| {
            if let Mention::Place { repository, tag } = mention {
                place = Some((repository.to_owned(), tag.to_owned()));
            }
        });
        let Some((repository, tag)) = place else {
            continue;
        };
        // When the tag was named, or later.
        let at = Some((seq + random.below(last - seq + 1)).to_string());
        let ask = |query: Query, times: &mut Vec<Duration>| {
            let start = Instant::now();
            // A tag that was deleted meanwhile is an answer too.
            let _answer = query::of_log(&index, &query, &query::Asker::default());
            times.push(start.elapsed());
        };
        let tag_of = || (repository.clone(), tag.clone(), at.clone());
        let (repository_, tag_, at_) = tag_of();
        let show = Query::Show {
            repository: repository_,
            tag: Some(tag_),
            at: at_,
        };
        ask(show, &mut shows);
        let (repository, tag, at) = tag_of();
        let why = Query::Why {
            repository: repository.clone(),
            tag: tag.clone(),
            rule: None,
            at: at.clone(),
        };
        ask(why, &mut whys);
        let history = Query::History {
            repository,
            tag,
            at,
        };
        ask(history, &mut histories);
    }
    for (name, times) in [
        ("show", &mut shows),
        ("why", &mut whys),
        ("history", &mut histories),
    ] {
        times.sort_unstable();
        println!(
            "{name} of a tag at a past record of {last}: p50 {:?}, slowest {:?}",
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
    let slowest = shows.iter().chain(&whys).max().copied().unwrap_or_default();
    let what = "slowest look back at one tag, s";
    Ratio::of(&[slowest.as_secs_f64()]).print(what, Better::Lower, 0.5, 0.1);
    if last <= 2_000_000 {
        let start = Instant::now();
        let state = state_at(index.reader(), At::Seq(last)).expect("it folds");
        println!(
            "  the state of everything at the end, from its snapshot: {:?} ({} repositories)",
            start.elapsed(),
            state.repository_names(None, usize::MAX).len()
        );
    }
}
