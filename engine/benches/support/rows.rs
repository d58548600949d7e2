//! Beside the usual layout: a row for each record, and an index row for each record.

use std::path::Path;
use std::time::Instant;

use weir_engine::log::index::{Dimension, Index, Plan, Search, terms};

use crate::ratio::{Better, Ratio};
use crate::records::Random;

/// Reads all records of repositories both ways and prints the ratio.
pub fn run(place: &Path, index: &Index, records: u64, quick: bool) {
    let dir = place.join(format!("{records}.rows"));
    let db = sled::Config::new()
        .path(&dir)
        .mode(sled::Mode::HighThroughput)
        .flush_every_ms(None)
        .cache_capacity(192 << 20)
        .open()
        .expect("sled opens");
    let rows = db.open_tree("records").expect("a tree");
    let by_repository = db.open_tree("repositories").expect("a tree");
    if rows.is_empty() {
        println!("writing a row and an index row for each record, once ...");
        for row in index.reader().range(1, None) {
            let (seq, bytes) = row.expect("it reads");
            terms(&bytes, |dimension, term| {
                if dimension == Dimension::Repository {
                    let key = [term.as_bytes(), &[0], &seq.to_be_bytes()].concat();
                    by_repository.insert(key, &[]).expect("it is written");
                }
            });
            rows.insert(seq.to_be_bytes(), bytes)
                .expect("it is written");
        }
        db.flush().expect("it is written");
    }
    let mut random = Random::new(13);
    let mut repositories = Vec::new();
    while repositories.len() < if quick { 3 } else { 15 } {
        let bytes = index
            .reader()
            .get(1 + random.below(records))
            .expect("it reads");
        terms(&bytes.expect("it is there"), |dimension, term| {
            if dimension == Dimension::Repository {
                repositories.push(term.to_owned());
            }
        });
    }
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for repository in &repositories {
        let start = Instant::now();
        let search = Search {
            plan: Plan::has(Dimension::Repository, repository),
            ..Search::default()
        };
        let ours: usize = index
            .find(search)
            .map(|row| row.expect("it reads").1.len())
            .sum();
        let our_time = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let prefix = [repository.as_bytes(), &[0]].concat();
        let (mut theirs, mut count) = (0, 0);
        for key in by_repository.scan_prefix(&prefix).keys() {
            let key = key.expect("it reads");
            let seq = &key[prefix.len()..];
            let row = rows.get(seq).expect("it reads").expect("it is there");
            theirs += row.to_vec().len();
            count += 1;
        }
        let their_time = start.elapsed().as_secs_f64();
        assert_eq!(ours, theirs);
        ratios.push(their_time / our_time);
        rates.push((f64::from(count) / our_time, f64::from(count) / their_time));
    }
    let (ours, theirs): (Vec<f64>, Vec<f64>) = rates.into_iter().unzip();
    println!(
        "all records of a repository: {:.0} rows/s; by an index row for each {:.0} rows/s",
        Ratio::of(&ours).median,
        Ratio::of(&theirs).median
    );
    let what = "rows/s by repository to one sled index row for each record";
    Ratio::of(&ratios).print(what, Better::Higher, 1.5, 4.0);
}
