//! The index finds exactly what a look at every record finds.

use crate::records::{Random, Records};
use tempfile::TempDir;
use weir_engine::log::index::{Dimension, Filter, Index, terms};
use weir_engine::log::{Log, LogOptions, LogReader};

/// Small segments, so that a short log has several.
const SEGMENT: u32 = 4000;

fn open(dir: &TempDir) -> Log {
    Log::open(&dir.path().join("log"), LogOptions::default()).expect("the log opens")
}

/// The terms of every record, in order.
fn all_terms(reader: &LogReader) -> Vec<Vec<(Dimension, String)>> {
    let of = |bytes: Vec<u8>| {
        let mut found = Vec::new();
        terms(&bytes, |dimension, term| {
            found.push((dimension, term.to_owned()))
        });
        found
    };
    reader
        .range(1, None)
        .map(|item| of(item.expect("it reads").1))
        .collect()
}

fn slowly(records: &[Vec<(Dimension, String)>], filter: &Filter) -> Vec<u64> {
    let takes = |terms: &Vec<(Dimension, String)>| {
        let has = |(wanted, any): &(Dimension, Vec<String>)| {
            terms
                .iter()
                .any(|(dimension, term)| dimension == wanted && any.contains(term))
        };
        filter.all.iter().all(has)
    };
    let range = filter.from.max(1)..filter.to.unwrap_or(u64::MAX);
    let found = (1..)
        .zip(records)
        .filter(|(seq, terms)| range.contains(seq) && takes(terms));
    let mut found: Vec<u64> = found.map(|(seq, _)| seq).collect();
    if filter.newest_first {
        found.reverse();
    }
    found
}

fn indexed(index: &Index, filter: &Filter) -> Vec<u64> {
    let found = index.find(filter.clone()).expect("it finds");
    found.map(|item| item.expect("it reads").0).collect()
}

#[test]
fn the_terms_of_a_record_are_all_it_can_be_found_by() {
    let check = |event: &str, wanted: &[(Dimension, &str)]| {
        let mut found = Vec::new();
        let record = format!(r#"{{"event":{event},"seq":1}}"#);
        terms(record.as_bytes(), |dimension, term| {
            found.push((dimension, term.to_owned()))
        });
        found.sort();
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(dimension, term)| (*dimension, (*term).to_owned()))
            .collect();
        assert_eq!(found, wanted);
    };
    use Dimension::*;
    check(
        r#"{"type":"weir.scan.completed","data":{"digest":"sha256:aa","covers":["sha256:bb"],"findings":[{"id":"CVE-1","package":"tag"}],"scanner":{"name":"trivy"}}}"#,
        &[
            (Digest, "sha256:aa"),
            (Digest, "sha256:bb"),
            (Type, "weir.scan.completed"),
            (Vulnerability, "CVE-1"),
        ],
    );
    check(
        r#"{"type":"weir.decision.made","data":{"rule":"r","source":{"repository":"a","tag":"1","digest":"sha256:aa"},"target":{"repository":"b","tag":"2"},"reasons":[{"code":"scan-missing","digest":"sha256:bb"}]}}"#,
        &[
            (Repository, "a"),
            (Repository, "b"),
            (Tag, "1"),
            (Tag, "2"),
            (Digest, "sha256:aa"),
            (Digest, "sha256:bb"),
            (Type, "weir.decision.made"),
            (Rule, "r"),
        ],
    );
    check(
        r#"{"type":"weir.approval.granted","data":{"repository":"a","target":"b","digest":"sha256:aa","actor":"me","comment":"x"}}"#,
        &[
            (Repository, "a"),
            (Repository, "b"),
            (Digest, "sha256:aa"),
            (Type, "weir.approval.granted"),
            (Actor, "me"),
        ],
    );
    check(
        r#"{"type":"x.unknown","data":{"annotations":{"tag":"no"},"deep":[{"er":{"tag":"yes"}}]}}"#,
        &[(Tag, "yes"), (Type, "x.unknown")],
    );
    check("{}", &[]);
}

#[test]
fn the_index_finds_what_a_look_at_every_record_finds() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let mut records = Records::new(40);
    let follower = Index::with_segments(log.reader(), SEGMENT).expect("it opens");
    let total = 2 * SEGMENT as usize + 1500;
    let mut left = total;
    while left > 0 {
        let batch = records.take(left.min(256));
        left -= batch.len();
        log.append(&batch, None).expect("it appends");
        follower.catch_up().expect("it follows");
    }
    let reader = log.reader();
    let of_records = all_terms(&reader);
    let mut known: Vec<(Dimension, String)> = Vec::new();
    for place in [5, 700, 3999, 4000, 4001, 8000, 9000] {
        known.extend(of_records[place - 1].iter().cloned());
    }
    known.push((Dimension::Digest, "sha256:none".to_owned()));
    let fresh = Index::with_segments(reader.clone(), SEGMENT).expect("it opens");
    let mut random = Random::new(41);
    for turn in 0..60 {
        let mut one = |_| {
            let (dimension, term) = known[random.below(known.len() as u64) as usize].clone();
            (dimension, vec![term])
        };
        let mut all: Vec<_> = (0..1 + turn % 3).map(&mut one).collect();
        if turn % 4 == 3 {
            let (dimension, _) = all[0].clone();
            let others = known
                .iter()
                .filter(|(other, _)| *other == dimension)
                .take(3);
            all[0].1 = others.map(|(_, term)| term.clone()).collect();
        }
        let filter = Filter {
            all,
            from: [0, 1, 3_500, 8_001][turn % 4],
            to: [None, Some(4_000), Some(4_001), Some(9_999_999)][turn / 2 % 4],
            newest_first: turn % 2 == 1,
        };
        let wanted = slowly(&of_records, &filter);
        assert_eq!(indexed(&follower, &filter), wanted, "{filter:?}");
        assert_eq!(indexed(&fresh, &filter), wanted, "{filter:?}");
    }
    let everything = Filter {
        from: 3_950,
        to: Some(4_050),
        ..Filter::default()
    };
    assert_eq!(
        indexed(&fresh, &everything),
        (3_950..4_050).collect::<Vec<_>>()
    );
    drop((follower, fresh, reader, log));
    let reopened = open(&dir);
    let index = Index::with_segments(reopened.reader(), SEGMENT).expect("it opens");
    let filter = Filter {
        all: vec![(Dimension::Actor, vec!["maria.lopez".into()])],
        newest_first: true,
        ..Filter::default()
    };
    assert_eq!(indexed(&index, &filter), slowly(&of_records, &filter));
    // Segments of another size are not taken for these.
    let other = Index::with_segments(reopened.reader(), 5000).expect("it opens");
    assert_eq!(indexed(&other, &filter), slowly(&of_records, &filter));
    let mut other = other;
    for _ in 0..2 {
        other.catch_up().expect("it catches up");
        assert_eq!(indexed(&other, &filter), slowly(&of_records, &filter));
        other = Index::with_segments(reopened.reader(), 5000).expect("it opens");
    }
}
