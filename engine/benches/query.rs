//! Measures audit queries beside SQLite with indexes on the same records, in one run.
//!
//! `cargo bench --bench query` asks a log of a million records; `WEIR_QUERY_RECORDS=10000000` makes
//! it ten. The logs and the databases are made once and kept below `target/query-bench`. SQLite is
//! the one in Python, which measures itself; without `python3` that part is left out, aloud.
//! `-- --past` only looks back at a ledger, `-- --rows` only compares with an index row per record.
//!
//! The machine's speed changes from minute to minute, so what is compared alternates.

#[path = "../tests/log/history.rs"]
mod history;
#[path = "support/past.rs"]
mod past;
#[path = "support/ratio.rs"]
mod ratio;
#[path = "../tests/log/records.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod records;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/sqlite.rs"]
mod sqlite;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ratio::{Better, Ratio};
use records::{Random, Records};
use serde_json::{Value, json};
use sqlite::Sqlite;
use weir_engine::log::index::{Index, Plan, Search};
use weir_engine::log::{Log, LogOptions, LogReader};
use weir_engine::query::{self, Asker, EventFilter};

/// Records in a page.
const PAGE: usize = 50;

/// Terms that each filter is asked for.
const TERMS: usize = 40;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // `cargo test` runs benches too, to see that they work.
    let quick = has("--quick") || !has("--bench");
    let asked = std::env::var("WEIR_QUERY_RECORDS").ok();
    let records = match asked {
        Some(text) => text.parse().expect("a number"),
        None if quick => 20_000,
        None => 1_000_000,
    };
    let temporary = tempfile::TempDir::new().expect("a directory");
    let place = if quick {
        temporary.path().to_owned()
    } else {
        PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../target/query-bench"
        ))
    };
    let all = !has("--past") && !has("--rows") && !has("--pages");
    if all || has("--past") {
        past::run(&place, if quick { 5_000 } else { records });
    }
    let log = log(&place, records);
    let index = index(&log.reader());
    if all || has("--pages") {
        pages(&place, &index, records);
        scans(&index, records);
    }
    // A row of its own for each record takes several times the room: not for ten million.
    if (all || has("--rows")) && records <= 2_000_000 {
        rows::run(&place, &index, records, quick);
    }
}

/// The log of so many records, made once.
fn log(place: &Path, records: u64) -> Log {
    let dir = place.join(records.to_string());
    std::fs::create_dir_all(place).expect("a directory");
    let start = Instant::now();
    let mut log = Log::open(&dir, LogOptions::default()).expect("the log opens");
    println!(
        "{} records; opened in {:?}",
        log.head().next_seq - 1,
        start.elapsed()
    );
    let mut source = Records::new(5);
    let mut left = records.saturating_sub(log.head().next_seq - 1);
    assert!(
        left == 0 || left == records,
        "{} is unfinished: remove it",
        dir.display()
    );
    while left > 0 {
        let batch = left.min(1024);
        let batch = source.take(usize::try_from(batch).expect("a length"));
        log.append(&batch, None).expect("it appends");
        left -= batch.len() as u64;
    }
    log
}

/// The index, as a daemon has it.
fn index(reader: &LogReader) -> Index {
    let index = Index::open(reader.clone());
    let (from, start) = (index.indexed(), Instant::now());
    index.catch_up(&|| false).expect("it is indexed");
    let (count, took) = (index.indexed() - from, start.elapsed());
    println!(
        "indexed {count} records in {took:?}, {:.0} records/s; the index has {:.1} bytes a record",
        count as f64 / took.as_secs_f64(),
        size(&reader.dir().join("index")) as f64 / (index.indexed() - 1) as f64
    );
    index
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// A question: our filter, and the same in SQL.
struct Question {
    filter: EventFilter,
    sql: String,
    args: Vec<Value>,
}

/// A kind of question, with one for each term.
struct Kind {
    name: &'static str,
    questions: Vec<Question>,
}

/// Terms of random records.
struct Terms<'a> {
    reader: &'a LogReader,
    random: Random,
    last: u64,
}

impl Terms<'_> {
    /// What `pick` finds in a random record.
    fn one<T>(&mut self, pick: impl Fn(&Value) -> Option<T>) -> T {
        loop {
            let seq = 1 + self.random.below(self.last);
            let bytes = self
                .reader
                .get(seq)
                .expect("it reads")
                .expect("it is there");
            let record: Value = serde_json::from_slice(&bytes).expect("it is JSON");
            if let Some(found) = pick(&record) {
                return found;
            }
        }
    }

    fn text(&mut self, pointer: &str) -> String {
        self.one(|record| Some(record.pointer(pointer)?.as_str()?.to_owned()))
    }
}

const BY_TERM: &str = "FROM TABLE t JOIN events e ON e.seq = t.seq WHERE t.term = ?";

/// The newest page of everything that is joined and filtered so.
fn page_sql(from: &str) -> String {
    format!("SELECT e.seq, e.json {from} ORDER BY e.seq DESC LIMIT {PAGE}")
}

fn term_sql(table: &str) -> String {
    // The order of the index, so that SQLite needs no sorting.
    let from = BY_TERM.replace("TABLE", table);
    format!("SELECT e.seq, e.json {from} ORDER BY t.seq DESC LIMIT {PAGE}")
}

fn kinds(index: &Index, records: u64) -> Vec<Kind> {
    let reader = index.reader();
    let mut terms = Terms {
        reader,
        random: Random::new(11),
        last: records,
    };
    let newest = || EventFilter {
        newest_first: true,
        limit: PAGE,
        ..EventFilter::default()
    };
    let mut kinds = Vec::new();
    let mut add = |name: &'static str, make: &mut dyn FnMut() -> Question| {
        let questions = (0..TERMS).map(|_| make()).collect();
        kinds.push(Kind { name, questions });
    };
    add("type", &mut || {
        let kind = terms.text("/event/type");
        Question {
            filter: EventFilter {
                kinds: vec![kind.clone()],
                ..newest()
            },
            sql: page_sql("FROM events e WHERE e.type = ?"),
            args: vec![kind.into()],
        }
    });
    add("repository", &mut || {
        // Of those in `prod` holds speak by a pattern, which is no term in SQLite.
        let name = terms.one(|record| {
            let name = record["event"]["data"]["repository"].as_str()?;
            (!name.starts_with("prod/")).then(|| name.to_owned())
        });
        Question {
            filter: EventFilter {
                repositories: vec![name.clone()],
                ..newest()
            },
            sql: term_sql("repository"),
            args: vec![name.into()],
        }
    });
    add("tag", &mut || {
        let tag = terms.text("/event/data/tag");
        Question {
            filter: EventFilter {
                tags: vec![tag.clone()],
                ..newest()
            },
            sql: term_sql("tag"),
            args: vec![tag.into()],
        }
    });
    add("digest", &mut || {
        let digest = terms.text("/event/data/digest");
        Question {
            filter: EventFilter {
                digests: vec![digest.clone()],
                ..newest()
            },
            sql: term_sql("digest"),
            args: vec![digest.into()],
        }
    });
    add("actor", &mut || {
        let actor = terms.text("/event/data/actor");
        Question {
            filter: EventFilter {
                actors: vec![actor.clone()],
                ..newest()
            },
            sql: term_sql("actor"),
            args: vec![actor.into()],
        }
    });
    add("vulnerability", &mut || {
        let found = terms.one(|record| {
            let findings = record["event"]["data"]["findings"].as_array()?;
            Some(findings.first()?["id"].as_str()?.to_owned())
        });
        Question {
            filter: EventFilter {
                vulnerabilities: vec![found.clone()],
                ..newest()
            },
            sql: term_sql("vulnerability"),
            args: vec![found.into()],
        }
    });
    add("verdict", &mut || {
        let verdict = terms.text("/event/data/verdict");
        Question {
            filter: EventFilter {
                verdicts: vec![verdict.clone()],
                ..newest()
            },
            sql: term_sql("verdict"),
            args: vec![verdict.into()],
        }
    });
    add("reason", &mut || {
        let code = terms.text("/event/data/reasons/0/code");
        Question {
            filter: EventFilter {
                reasons: vec![code.clone()],
                ..newest()
            },
            sql: term_sql("reason"),
            args: vec![code.into()],
        }
    });
    add("repository, tag", &mut || {
        let (name, tag) = terms.one(|record| {
            let data = &record["event"]["data"];
            Some((
                data["repository"].as_str()?.to_owned(),
                data["tag"].as_str()?.to_owned(),
            ))
        });
        Question {
            filter: EventFilter {
                repositories: vec![name.clone()],
                tags: vec![tag.clone()],
                ..newest()
            },
            sql: page_sql(
                "FROM tag t JOIN repository r ON r.seq = t.seq JOIN events e ON e.seq = t.seq WHERE t.term = ? AND r.term = ?",
            ),
            args: vec![tag.into(), name.into()],
        }
    });
    add("repository, verdict", &mut || {
        let (name, verdict) = terms.one(|record| {
            let data = &record["event"]["data"];
            let name = data["source"]["repository"].as_str()?.to_owned();
            Some((name, data["verdict"].as_str()?.to_owned()))
        });
        Question {
            filter: EventFilter {
                repositories: vec![name.clone()],
                verdicts: vec![verdict.clone()],
                ..newest()
            },
            sql: page_sql(
                "FROM repository r JOIN verdict v ON v.seq = r.seq JOIN events e ON e.seq = r.seq WHERE r.term = ? AND v.term = ?",
            ),
            args: vec![name.into(), verdict.into()],
        }
    });
    add("repository pattern, type", &mut || {
        let name = terms.text("/event/data/repository");
        let team = name.rsplit_once('/').map_or(&*name, |(team, _)| team);
        Question {
            filter: EventFilter {
                repositories: vec![format!("{team}/*")],
                kinds: vec!["manifest.deleted".into()],
                ..newest()
            },
            sql: page_sql(
                "FROM events e WHERE e.type = 'weir.manifest.deleted' AND e.seq IN (SELECT seq FROM repository WHERE term >= ? AND term < ?)",
            ),
            args: vec![format!("{team}/").into(), format!("{team}0").into()],
        }
    });
    add("actor, since, until", &mut || {
        let (actor, seq) = terms.one(|record| {
            let actor = record["event"]["data"]["actor"].as_str()?.to_owned();
            Some((actor, record["seq"].as_u64()?))
        });
        let at = |seq: u64| {
            let time = reader.recorded_at(seq.min(records)).expect("it reads");
            time.expect("a time").to_string()
        };
        let (since, until) = (at(seq), at(seq + 5000));
        Question {
            filter: EventFilter {
                actors: vec![actor.clone()],
                since: Some(since.clone()),
                until: Some(until.clone()),
                ..newest()
            },
            sql: format!(
                "SELECT e.seq, e.json FROM actor a JOIN events e ON e.seq = a.seq WHERE a.term = ? AND a.seq >= (SELECT seq FROM events WHERE at >= ? ORDER BY at LIMIT 1) AND a.seq < (SELECT seq FROM events WHERE at >= ? ORDER BY at LIMIT 1) ORDER BY a.seq DESC LIMIT {PAGE}"
            ),
            args: vec![actor.into(), since.into(), until.into()],
        }
    });
    add("repository, where", &mut || {
        let name = terms.text("/event/data/repository");
        Question {
            filter: EventFilter {
                repositories: vec![name.clone()],
                expression: Some("has(data.size) && data.size > 3000".into()),
                ..newest()
            },
            sql: format!(
                "SELECT e.seq, e.json FROM repository t JOIN events e ON e.seq = t.seq WHERE t.term = ? AND json_extract(e.json, '$.event.data.size') > 3000 ORDER BY t.seq DESC LIMIT {PAGE}"
            ),
            args: vec![name.into()],
        }
    });
    // For these SQLite reads all of its file: they come last, so that for all others both files are as
    // far from memory.
    add("app", &mut || {
        let digest = terms.one(|record| {
            let data = &record["event"]["data"];
            data["manifests"].as_array()?;
            Some(data["digest"].as_str()?.to_owned())
        });
        Question {
            filter: EventFilter {
                apps: vec![digest.clone()],
                ..newest()
            },
            sql: format!(
                "WITH RECURSIVE part(digest) AS (VALUES (?) UNION SELECT json_extract(m.value, '$.digest') FROM part JOIN digest d ON d.term = part.digest JOIN events e ON e.seq = d.seq JOIN json_each(e.json, '$.event.data.manifests') m WHERE e.type = 'weir.image.pushed' AND json_extract(e.json, '$.event.data.digest') = part.digest) SELECT DISTINCT e.seq, e.json FROM part JOIN digest d ON d.term = part.digest JOIN events e ON e.seq = d.seq ORDER BY e.seq DESC LIMIT {PAGE}"
            ),
            args: vec![digest.into()],
        }
    });
    add("where", &mut || {
        let size = 500 + terms.random.below(4000);
        Question {
            filter: EventFilter {
                expression: Some(format!("has(data.size) && data.size == {size}")),
                ..newest()
            },
            sql: page_sql("FROM events e WHERE json_extract(e.json, '$.event.data.size') = ?"),
            args: vec![size.into()],
        }
    });
    kinds
}

/// First pages and numbers, beside SQLite.
fn pages(place: &Path, index: &Index, records: u64) {
    let mut sqlite = Sqlite::start(&place.join(format!("{records}.sqlite")), index.reader());
    match &sqlite {
        Some(sqlite) => println!(
            "SQLite {}: {:.0} bytes a record",
            sqlite.version,
            sqlite.bytes as f64 / records as f64
        ),
        None => println!("SKIPPED: SQLite, for there is no python3"),
    }
    let kinds = kinds(index, records);
    println!(
        "first page of {PAGE}, newest first, of {TERMS} terms: the first time, then again\n{:<26} {:>9} {:>9} {:>9} {:>9}   {:>9} {:>9}   ratio first, again",
        "", "p50", "slowest", "again", "slowest", "SQLite", "again"
    );
    let (mut slowest, mut firsts, mut agains) = (Duration::ZERO, Vec::new(), Vec::new());
    for kind in &kinds {
        let mut ours = [Vec::new(), Vec::new()];
        let mut theirs = [Vec::new(), Vec::new()];
        for turn in 0..2 {
            for question in &kind.questions {
                let start = Instant::now();
                let page = query::events(index, &question.filter).expect("a page");
                ours[turn].push(start.elapsed());
                if let Some(sqlite) = &mut sqlite {
                    let (took, rows) = sqlite.ask(&question.sql, &question.args);
                    theirs[turn].push(took);
                    let found: Vec<u64> = page.events.iter().map(|event| event.seq).collect();
                    if kind.name != "where" {
                        assert_eq!(found, rows, "{}: {:?}", kind.name, question.args);
                    }
                }
            }
        }
        let show = |times: &[Duration]| format!("{:.3} ms", millis(median(times)));
        let most = |times: &[Duration]| times.iter().copied().max().unwrap_or_default();
        // An expression alone must look at everything: a page of it is what a second finds.
        if kind.name != "where" {
            slowest = slowest.max(most(&ours[0]));
        }
        print!(
            "{:<26} {:>9} {:>9} {:>9} {:>9}",
            kind.name,
            show(&ours[0]),
            show(&[most(&ours[0])]),
            show(&ours[1]),
            show(&[most(&ours[1])])
        );
        if sqlite.is_some() {
            let ratio = |turn: usize| {
                median(&ours[turn]).as_secs_f64() / median(&theirs[turn]).as_secs_f64()
            };
            println!(
                "   {:>9} {:>9}   {:.2}, {:.2}",
                show(&theirs[0]),
                show(&theirs[1]),
                ratio(0),
                ratio(1)
            );
            firsts.push(ratio(0));
            agains.push(ratio(1));
        } else {
            println!();
        }
    }
    let what = "slowest first page of any filter that the index answers, ms";
    Ratio::of(&[millis(slowest)]).print(what, Better::Lower, 10.0, 10.0);
    if !firsts.is_empty() {
        let worst = |ratios: &[f64]| ratios.iter().copied().fold(0.0, f64::max);
        let what = "first pages to SQLite's, p50, the worst filter, the first time";
        Ratio::of(&[worst(&firsts)]).print(what, Better::Lower, 1.0, 1.0);
        let what = "  asked again";
        Ratio::of(&[worst(&agains)]).print(what, Better::Lower, 1.0, 1.0);
    }
    numbers(index, &kinds, &mut sqlite);
}

/// How many there are, and how many of each kind.
fn numbers(index: &Index, kinds: &[Kind], sqlite: &mut Option<Sqlite>) {
    println!("count, of the same terms:");
    for kind in kinds {
        let Some(table) = [
            "type",
            "repository",
            "tag",
            "digest",
            "vulnerability",
            "reason",
        ]
        .into_iter()
        .find(|name| *name == kind.name) else {
            continue;
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for question in &kind.questions {
            let start = Instant::now();
            let count = query::count(index, &question.filter, &Asker::default())
                .expect("a number")
                .found;
            ours.push(start.elapsed());
            if let Some(sqlite) = sqlite {
                let sql = match table {
                    "type" => "SELECT count(*) FROM events WHERE type = ?".to_owned(),
                    table => format!("SELECT count(*) FROM {table} WHERE term = ?"),
                };
                let (took, rows) = sqlite.ask(&sql, &question.args);
                theirs.push(took);
                assert_eq!(rows, [count], "{}: {:?}", kind.name, question.args);
            }
        }
        print!("{:<26} {:>9.3} ms", kind.name, millis(median(&ours)));
        if theirs.is_empty() {
            println!();
        } else {
            let ratio = median(&ours).as_secs_f64() / median(&theirs).as_secs_f64();
            println!(
                "   SQLite {:>9.3} ms   ratio {ratio:.2}",
                millis(median(&theirs))
            );
        }
    }
    for (by, filter, sql) in [
        (
            "actor",
            EventFilter::default(),
            "SELECT count(*) FROM actor GROUP BY term ORDER BY count(*) DESC",
        ),
        (
            "repository",
            EventFilter {
                verdicts: vec!["block".into()],
                ..EventFilter::default()
            },
            "SELECT count(*) FROM verdict v JOIN repository r ON r.seq = v.seq WHERE v.term = 'block' GROUP BY r.term ORDER BY count(*) DESC",
        ),
    ] {
        let start = Instant::now();
        let by = by.parse().expect("a name");
        let groups = query::groups(index, &filter, by, &Asker::default())
            .expect("groups")
            .found;
        let ours = start.elapsed();
        print!("{:<26} {:>9.3} ms", format!("by {by}"), millis(ours));
        match sqlite {
            Some(sqlite) => {
                let (took, rows) = sqlite.ask(sql, &[]);
                let counts: Vec<u64> = groups.iter().map(|(_, count)| *count).collect();
                assert_eq!(rows, counts);
                let ratio = ours.as_secs_f64() / took.as_secs_f64();
                println!("   SQLite {:>9.3} ms   ratio {ratio:.2}", millis(took));
            }
            None => println!(),
        }
    }
}

/// A digest to a look at every record, and how fast those are.
fn scans(index: &Index, records: u64) {
    let reader = index.reader();
    let mut terms = Terms {
        reader,
        random: Random::new(12),
        last: records,
    };
    let mut times = Vec::new();
    for _ in 0..200 {
        let digest = terms.text("/event/data/digest");
        let search = Search {
            plan: Plan::has(weir_engine::log::index::Dimension::Digest, &digest),
            ..Search::default()
        };
        let start = Instant::now();
        let found: usize = index.find(search).map(|row| row.map_or(0, |_| 1)).sum();
        times.push(start.elapsed());
        assert!(found > 0);
    }
    let start = Instant::now();
    let looked = records.min(1_000_000);
    let bytes: usize = reader
        .range(1, Some(looked + 1))
        .map(|row| row.expect("it reads").1.len())
        .sum();
    assert!(bytes > 0);
    let scan = start.elapsed().as_secs_f64() * records as f64 / looked as f64;
    let p50 = median(&times);
    println!("all of a digest: p50 {p50:?}; a full scan takes {scan:.2} s");
    let what = "full scan to a by-digest query, p50";
    Ratio::of(&[scan / p50.as_secs_f64()]).print(what, Better::Higher, 2000.0, 10_000.0);

    let filter = EventFilter {
        expression: Some("has(data.size) && data.size == 1".into()),
        limit: PAGE,
        newest_first: true,
        ..EventFilter::default()
    };
    let start = Instant::now();
    let page = query::events(index, &filter).expect("a page");
    let took = start.elapsed();
    assert!(page.events.is_empty());
    println!(
        "an expression alone: {:.0} records/s",
        records.min(100_000) as f64 / took.as_secs_f64()
    );
    let _ = json!(null);
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
