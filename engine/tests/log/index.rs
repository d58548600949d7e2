//! The index finds exactly what a look at every record finds, whatever became of its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::records::{Random, Records};
use tempfile::TempDir;
use weir_engine::log::index::{Dimension, Index, Plan, Search, Test, count_terms, terms};
use weir_engine::log::{Log, LogOptions, LogReader};

/// Small segments, so that a short log has groups, and groups of groups.
const SEGMENT: u32 = 8;

/// A group of groups, some groups, some segments, and an open one.
const RECORDS: usize = 16 * 16 * SEGMENT as usize + 300;

fn open(dir: &Path) -> Log {
    Log::open(&dir.join("log"), LogOptions::default()).expect("the log opens")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("log/index")).expect("there is an index");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it reads").path())
        .collect();
    files.sort();
    files
}

fn all(reader: &LogReader) -> Vec<Vec<u8>> {
    reader
        .range(1, None)
        .map(|item| item.expect("it reads").1)
        .collect()
}

fn no() -> bool {
    false
}

#[test]
fn the_terms_of_a_record_are_all_it_can_be_found_by() {
    let check = |event: &str, wanted: &[(Dimension, &str)]| {
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(dimension, term)| (*dimension, (*term).to_owned()))
            .collect();
        // As it is written in a log, and otherwise.
        for rest in [r#""position":{"from":"local"},"seq":1"#, r#""seq":1"#] {
            let mut found = Vec::new();
            let record = format!(r#"{{"event":{event},{rest}}}"#);
            terms(record.as_bytes(), |dimension, term| {
                found.push((dimension, term.to_owned()));
            });
            found.sort();
            assert_eq!(found, wanted, "{record}");
        }
    };
    use Dimension::*;
    check(
        r#"{"type":"weir.scan.completed","data":{"digest":"sha256:aa","covers":["sha256:bb"],"findings":[{"id":"CVE-1","package":"tag","tag":"no"}],"scanner":{"name":"trivy"}}}"#,
        &[
            (Digest, "sha256:aa"),
            (Digest, "sha256:bb"),
            (Type, "weir.scan.completed"),
            (Vulnerability, "CVE-1"),
        ],
    );
    check(
        r#"{"type":"weir.decision.made","data":{"rule":"r","verdict":"wait","overrides":["o-1"],"source":{"repository":"a","tag":"1","digest":"sha256:aa"},"target":{"repository":"b","tag":"2"},"reasons":[{"code":"scan-missing","digest":"sha256:bb"},{"code":"denied","deny_rule":"d"},{"code":"held","hold_id":"h"}],"waived":[{"code":"soaking"}]}}"#,
        &[
            (Repository, "a"),
            (Repository, "b"),
            (Tag, "1"),
            (Tag, "2"),
            (Digest, "sha256:aa"),
            (Digest, "sha256:bb"),
            (Type, "weir.decision.made"),
            (Rule, "d"),
            (Rule, "r"),
            (Verdict, "wait"),
            (Reason, "denied"),
            (Reason, "held"),
            (Reason, "scan-missing"),
            (Reason, "soaking"),
            (Override, "o-1"),
            (Hold, "h"),
        ],
    );
    check(
        r#"{"type":"weir.approval.granted","data":{"repository":"a","target":"b","digest":"sha256:aa","actor":"m\"e","comment":"x"}}"#,
        &[
            (Repository, "a"),
            (Repository, "b"),
            (Digest, "sha256:aa"),
            (Type, "weir.approval.granted"),
            (Actor, "m\"e"),
        ],
    );
    check(
        r#"{"type":"weir.override.granted","data":{"actor":"a","override_id":"o","vulnerability":"CVE-1","scope":{"repository":"dev/*","digest":"sha256:aa"}}}"#,
        &[
            (Digest, "sha256:aa"),
            (Type, "weir.override.granted"),
            (Actor, "a"),
            (Vulnerability, "CVE-1"),
            (Override, "o"),
            (Pattern, "dev/*"),
        ],
    );
    // A CVE is found in whatever letters it is written; other names as they are.
    check(
        r#"{"type":"weir.scan.completed","data":{"digest":"sha256:aa","findings":[{"id":"cve-1"},{"id":"GHSA-x"}]}}"#,
        &[
            (Digest, "sha256:aa"),
            (Type, "weir.scan.completed"),
            (Vulnerability, "CVE-1"),
            (Vulnerability, "GHSA-x"),
        ],
    );
    check(
        r#"{"type":"weir.hold.placed","data":{"hold_id":"h","scope":{"repository":"dev/web"}}}"#,
        &[(Type, "weir.hold.placed"), (Scope, "dev/web"), (Hold, "h")],
    );
    check(
        r#"{"type":"weir.promotion.requested","data":{"waive":["held"],"actor":"a"}}"#,
        &[
            (Type, "weir.promotion.requested"),
            (Actor, "a"),
            (Reason, "held"),
        ],
    );
    check(
        r#"{"type":"weir.manifest.resolved","data":{"digest":"sha256:aa","subject":"sha256:bb","config_digest":"sha256:cc","manifests":[{"digest":"sha256:dd","annotations":{"digest":"no"}}]}}"#,
        &[
            (Digest, "sha256:aa"),
            (Digest, "sha256:bb"),
            (Digest, "sha256:cc"),
            (Digest, "sha256:dd"),
            (Type, "weir.manifest.resolved"),
        ],
    );
    check(
        r#"{"type":"x.unknown","subject":"a:b","data":{"annotations":{"tag":"no"},"deep":[{"er":{"tag":"yes"}}],"tag":7,"rule":["no"],"digest":{"tag":"here"}}}"#,
        &[(Tag, "here"), (Tag, "yes"), (Type, "x.unknown")],
    );
    check("{}", &[]);
    check("7", &[]);
    // A field that a known type does not have means nothing, wherever it stands.
    check(
        r#"{"data":{"build":{"verdict":"block","rule":"r","actor":"eve","reasons":[{"code":"denied"}],"repository":"b","tag":"9"},"digest":"sha256:aa","manifests":[{"digest":"sha256:bb","tag":"9"}],"repository":"a","rule":"r","tag":"1","target":"b"},"type":"weir.image.pushed"}"#,
        &[
            (Repository, "a"),
            (Tag, "1"),
            (Digest, "sha256:aa"),
            (Digest, "sha256:bb"),
            (Type, "weir.image.pushed"),
        ],
    );
    check(
        r#"{"data":{"repository":"a","source":{"rule":"r"},"verdict":"wait"},"type":"weir.repository.created","zone":{"type":"weir.decision.made"}}"#,
        &[(Repository, "a"), (Type, "weir.repository.created")],
    );
    check(
        r#"{"data":{"actor":"eve"},"type":"weir.clock.ticked"}"#,
        &[(Type, "weir.clock.ticked")],
    );
}

/// Searches for terms of random records, in every combination, with what a look at every record
/// finds.
fn searches(records: &[Vec<u8>], seed: u64, turns: usize) -> Vec<(Search, Vec<u64>)> {
    let mut random = Random::new(seed);
    let mut made = Vec::new();
    for turn in 0..turns {
        let mut one = || {
            let place = random.below(records.len() as u64) as usize;
            let mut known = Vec::new();
            terms(&records[place], |dimension, term| {
                known.push((dimension, term.to_owned()));
            });
            let (dimension, term) = known[random.below(known.len() as u64) as usize].clone();
            match (dimension, random.below(4)) {
                (Dimension::Digest, 0) => Plan::digest(&term[..20]),
                (Dimension::Digest, 1) => Plan::digest(&term[7..16]),
                (Dimension::Repository | Dimension::Tag, 0) => {
                    let (prefix, end) = (term[..3].to_owned(), term[term.len() - 1..].to_owned());
                    let begin = prefix.clone();
                    let passes = move |term: &str| term.starts_with(&begin) && term.ends_with(&end);
                    Plan::Has(
                        dimension,
                        Test::Like {
                            prefix,
                            passes: std::sync::Arc::new(passes),
                        },
                    )
                }
                _ => Plan::has(dimension, &term),
            }
        };
        let plan = match turn % 5 {
            0 => one(),
            1 => one().and(one()),
            2 => Plan::OneOf(vec![one(), one(), one()]),
            3 => Plan::OneOf(vec![one(), one()]).and(one()),
            _ => Plan::All(vec![one(), Plan::OneOf(vec![one(), one().and(one())])]),
        };
        let plan = if turn == 0 { Plan::Any } else { plan };
        let last = records.len() as u64;
        let ends = [
            0,
            1,
            129,
            1_000,
            1_024,
            1_025,
            2_100,
            last,
            last + 1,
            u64::MAX,
        ];
        let mut end = || ends[random.below(ends.len() as u64) as usize];
        let (a, b) = (end(), end());
        let search = Search {
            plan,
            range: if turn % 3 == 0 {
                0..u64::MAX
            } else {
                a.min(b)..a.max(b)
            },
            newest_first: turn % 2 == 1,
        };
        let seqs = (1..).zip(records);
        let found =
            seqs.filter(|(seq, record)| search.range.contains(seq) && search.plan.takes(record));
        let mut found: Vec<u64> = found.map(|(seq, _)| seq).collect();
        if search.newest_first {
            found.reverse();
        }
        made.push((search, found));
    }
    made
}

/// Long lists: only the first difference is worth reading.
fn same(found: &[u64], wanted: &[u64], search: &Search) {
    let first = found.iter().zip(wanted).position(|(a, b)| a != b);
    let place = first.unwrap_or(found.len().min(wanted.len()));
    assert_eq!(
        (found.len(), found.get(place)),
        (wanted.len(), wanted.get(place)),
        "at {place} of {search:?}"
    );
}

fn check(index: &Index, records: &[Vec<u8>], searches: &[(Search, Vec<u64>)]) {
    for (place, (search, wanted)) in searches.iter().enumerate() {
        let found = index.find(search.clone());
        let found: Vec<u64> = found.map(|item| item.expect("it reads").0).collect();
        same(&found, wanted, search);
        let count = index.count(search).expect("it counts");
        assert_eq!(count, wanted.len() as u64, "{search:?}");
        let dimension = Dimension::ALL[place % Dimension::ALL.len()];
        let mut groups = BTreeMap::new();
        for seq in wanted {
            count_terms(&records[*seq as usize - 1], dimension, &mut groups);
        }
        let grouped = index.group(search, dimension).expect("it groups");
        assert_eq!(grouped, groups, "{dimension:?} of {search:?}");
    }
}

/// Records of every kind, indexed while they come.
fn filled(dir: &Path) -> Log {
    let mut log = open(dir);
    let mut records = Records::new(40);
    let index = Index::with_segments(log.reader(), SEGMENT);
    let mut left = RECORDS;
    while left > 0 {
        let mut batch = records.take(left.min(200));
        if left > 1000 {
            batch.extend((0..5).map(|_| records.rare()));
        }
        left = left.saturating_sub(batch.len());
        log.append(&batch, None).expect("it appends");
        index.catch_up(&no).expect("it follows");
    }
    log
}

#[test]
fn the_index_finds_what_a_look_at_every_record_finds() {
    let dir = TempDir::new().expect("a directory");
    let mut log = filled(dir.path());
    let reader = log.reader();
    let records = all(&reader);
    let searches = searches(&records, 41, 60);
    let names: Vec<String> = files(dir.path())
        .iter()
        .map(|path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert!(names.contains(&"2-000000000.terms".to_owned()), "{names:?}");

    // As far as it is stored, by a process that only reads.
    let stored = Index::with_segments(reader.clone(), SEGMENT);
    assert!(stored.indexed() <= records.len() as u64 + 1);
    check(&stored, &records, &searches);
    // With the open segment in memory.
    stored.catch_up(&no).expect("it catches up");
    assert_eq!(stored.indexed(), records.len() as u64 + 1);
    check(&stored, &records, &searches);

    // What is appended after a search began is not found by it.
    let mut find = stored.find(Search::default());
    let more = Records::after(7, &log).take(100);
    log.append(&more, None).expect("it appends");
    stored.catch_up(&no).expect("it catches up");
    assert_eq!(find.by_ref().count(), records.len());
    assert!(find.is_over());
    assert_eq!(find.position(), records.len() as u64 + 1);
}

#[test]
fn a_search_goes_on_where_it_was_left() {
    let dir = TempDir::new().expect("a directory");
    let log = filled(dir.path());
    let records = all(&log.reader());
    let index = Index::with_segments(log.reader(), SEGMENT);
    for (mut search, wanted) in searches(&records, 43, 40) {
        let mut found = Vec::new();
        for turn in 0.. {
            let mut find = index.find(search.clone());
            find.read_ahead(1 + turn % 50);
            let looks = 1 + (turn as u64 * 37) % 900;
            while let Some(item) = find.next_within(looks) {
                found.push(item.expect("it reads").0);
                if turn % 3 == 1 {
                    break;
                }
            }
            find.settle();
            if find.is_over() {
                break;
            }
            if search.newest_first {
                search.range.end = find.position();
            } else {
                search.range.start = find.position();
            }
        }
        same(&found, &wanted, &search);
    }
}

#[test]
fn an_index_that_is_damaged_or_gone_costs_time_and_nothing_else() {
    let dir = TempDir::new().expect("a directory");
    let log = filled(dir.path());
    let reader = log.reader();
    let records = all(&reader);
    let searches = searches(&records, 44, 30);
    let whole: Vec<(PathBuf, Vec<u8>)> = files(dir.path())
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).expect("it reads")))
        .collect();
    let mut random = Random::new(45);
    let mut below = |limit: usize| random.below(limit as u64) as usize;
    for turn in 0..10 {
        for _ in 0..1 + turn % 4 {
            let (path, bytes) = &whole[below(whole.len())];
            match turn % 5 {
                0 => fs::remove_file(path).unwrap_or_default(),
                1 => fs::write(path, &bytes[..below(bytes.len())]).expect("it is written"),
                2 => {
                    // The file of another part.
                    let (_, other) = &whole[below(whole.len())];
                    fs::write(path, other).expect("it is written");
                }
                _ => {
                    let mut bytes = bytes.clone();
                    let place = below(bytes.len());
                    bytes[place] ^= 1 << below(8);
                    fs::write(path, bytes).expect("it is written");
                }
            }
        }
        let index = Index::with_segments(reader.clone(), SEGMENT);
        check(&index, &records, &searches[turn % 5 * 6..][..6]);
        // Twice: a group can be made anew once its segments are.
        for _ in 0..3 {
            index.catch_up(&no).expect("it is made anew");
        }
        check(&index, &records, &searches[..3]);
        // What nothing has asked for is found out later; here all is asked for.
        let everything = Dimension::ALL.map(|dimension| {
            let nowhere = Search {
                plan: Plan::has(dimension, "\u{10ffff}"),
                ..Search::default()
            };
            (nowhere, Vec::new())
        });
        check(&index, &records, &everything);
        for (path, bytes) in &whole {
            fs::write(path, bytes).expect("it is written");
        }
    }
    fs::remove_dir_all(dir.path().join("log/index")).expect("it goes");
    let index = Index::with_segments(reader.clone(), SEGMENT);
    check(&index, &records, &searches[..5]);
    index.catch_up(&no).expect("it is made anew");
    check(&index, &records, &searches);
    let again: Vec<(PathBuf, Vec<u8>)> = files(dir.path())
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).expect("it reads")))
        .collect();
    assert!(again == whole, "the same files");
}

#[test]
fn files_found_to_be_damaged_are_made_anew() {
    let dir = TempDir::new().expect("a directory");
    let log = filled(dir.path());
    let reader = log.reader();
    let records = all(&reader);
    let searches = searches(&records, 46, 30);
    let paths = files(dir.path());
    let whole: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| fs::read(path).expect("it reads"))
        .collect();
    for (path, bytes) in paths.iter().zip(&whole) {
        let mut bytes = bytes.clone();
        // In the slices: what is found only when it is read.
        let middle = bytes.len() / 4;
        bytes[middle] ^= 0x20;
        fs::write(path, bytes).expect("it is written");
    }
    let index = Index::with_segments(reader.clone(), SEGMENT);
    check(&index, &records, &searches);
    for _ in 0..4 {
        index.catch_up(&no).expect("it is made anew");
        check(&index, &records, &searches);
    }
    let healed = paths.iter().zip(&whole);
    let healed = healed.filter(|(path, bytes)| fs::read(path).is_ok_and(|now| now == **bytes));
    assert!(
        healed.count() * 10 > paths.len() * 9,
        "nearly all were asked"
    );
}

#[test]
fn an_index_of_more_parts_than_stay_open_is_asked_as_any_other() {
    let dir = TempDir::new().expect("a directory");
    let log = filled(dir.path());
    let records = all(&log.reader());
    let index = Index::with_segments(log.reader(), SEGMENT / 2);
    index.catch_up(&no).expect("it is made");
    assert!(files(dir.path()).len() > 384 + 100);
    for seed in [51, 52] {
        check(&index, &records, &searches(&records, seed, 30));
    }
}

#[test]
fn an_index_of_another_version_is_made_anew_unasked() {
    let dir = TempDir::new().expect("a directory");
    let log = filled(dir.path());
    let made: Vec<_> = files(dir.path())
        .into_iter()
        .map(|path| (fs::read(&path).expect("it reads"), path))
        .collect();
    for (bytes, path) in &made {
        let other = [b"weir index 0\n", &bytes[13..]].concat();
        fs::write(path, other).expect("it is written");
    }
    let index = Index::with_segments(log.reader(), SEGMENT);
    assert_eq!(index.indexed(), 1);
    index.catch_up(&no).expect("it is made anew");
    for (bytes, path) in &made {
        assert!(
            fs::read(path).expect("it reads") == *bytes,
            "{}",
            path.display()
        );
    }
}

#[test]
fn an_index_of_another_history_or_form_is_not_believed() {
    let dir = TempDir::new().expect("a directory");
    let log = filled(dir.path());
    let records = all(&log.reader());
    let other = TempDir::new().expect("a directory");
    let mut other_log = open(other.path());
    let mut source = Records::new(99);
    for _ in 0..RECORDS / 200 {
        other_log
            .append(&source.take(200), None)
            .expect("it appends");
    }
    Index::with_segments(other_log.reader(), SEGMENT)
        .catch_up(&no)
        .expect("it is indexed");
    drop(log);
    for path in files(other.path()) {
        let name = path.file_name().expect("a name");
        fs::copy(&path, dir.path().join("log/index").join(name)).expect("it is copied");
    }
    let log = open(dir.path());
    let searches = searches(&records, 47, 12);
    let index = Index::with_segments(log.reader(), SEGMENT);
    check(&index, &records, &searches);
    index.catch_up(&no).expect("it is made anew");
    check(&index, &records, &searches);
    // Segments of another size are not taken for these.
    let index = Index::with_segments(log.reader(), 33);
    check(&index, &records, &searches);
    for _ in 0..3 {
        index.catch_up(&no).expect("it is made anew");
        check(&index, &records, &searches);
    }
}
