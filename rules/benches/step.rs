//! What a record costs: by its kind on small and large states, in a mixed history, when it wakes
//! many; and what the state takes of memory.
//!
//! `cargo bench -p weir-rules --bench step` runs everything; `-- --steps`, `-- --memory`,
//! `-- --fold` or `-- --wake` only a part, `-- --quick` a short round. Events are decoded before
//! the clock starts. Read the ratios: a machine's speed changes from minute to minute. Memory is
//! what the system has resident (`VmRSS`), of a process that does nothing else, so it includes what
//! the allocator wastes.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what is measured is time"
)]

#[path = "step/history.rs"]
mod history;
#[path = "step/world.rs"]
mod world;

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::time::{Duration, Instant};

use history::{Maker, completed, descriptor, digest, push, rules};
use weir_rules::{Execution, Settings, State, step};
use weir_schema::{Body, Digest, Finding, Timestamp};
use world::{KINDS, World};

/// As in the `weir` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(place) = arguments
        .iter()
        .position(|argument| argument == "--resident")
    {
        return resident_of(&arguments[place + 1], &arguments[place + 2]);
    }
    // `cargo test` runs benches too, to see that they work.
    let quick = arguments.iter().any(|argument| argument == "--quick")
        || !arguments.iter().any(|argument| argument == "--bench");
    let parts = ["--fold", "--wake", "--steps", "--memory", "--snapshot"];
    let some = arguments
        .iter()
        .any(|argument| parts.contains(&argument.as_str()));
    let wanted = |part: &str| !some || arguments.iter().any(|argument| argument == part);
    if wanted("--fold") {
        fold(quick);
    }
    if wanted("--wake") {
        wake(quick);
    }
    if wanted("--steps") {
        steps(quick);
    }
    if wanted("--memory") {
        memory(quick);
    }
    if wanted("--snapshot") {
        snapshot(quick);
    }
}

/// Prints a figure beside the goal it should reach.
fn goal(what: &str, figure: f64, unit: &str, goal: f64, higher: bool) {
    let reached = if higher {
        figure >= goal
    } else {
        figure <= goal
    };
    let verdict = if reached { "reached" } else { "MISSED" };
    println!("{what:<58} {figure:>12.1} {unit:<9} goal {goal}: {verdict}");
}

// Snapshots of a state that a mixed history leads to.

fn snapshot(quick: bool) {
    let (apps, length) = if quick {
        (500, 3_000)
    } else {
        (10_000, 300_000)
    };
    let mut maker = Maker::new(7, apps);
    let mut state = State::new(Settings::default());
    for (at, body) in maker.beginning() {
        step(&mut state, at, &body, Execution::AtOnce);
    }
    let began = Instant::now();
    for _ in 0..length {
        let (at, body) = maker.event();
        step(&mut state, at, &body, Execution::AtOnce);
    }
    let folded = began.elapsed();
    let began = Instant::now();
    let mut bytes = Vec::new();
    state.freeze(&mut bytes).expect("a vector takes everything");
    let written = began.elapsed();
    let began = Instant::now();
    black_box(state.state_digest());
    let hashed = began.elapsed();
    let began = Instant::now();
    let again = State::thaw(&bytes[..], Settings::default()).expect("it reads");
    let read = began.elapsed();
    let began = Instant::now();
    black_box(again.clone());
    let cloned = began.elapsed();
    println!(
        "a state after {} records: folded in {:.0} ms, cloned in {:.0} ms; a snapshot of {:.1} MB, written in {:.0} ms, read in {:.0} ms; its digest in {:.0} ms",
        again.seq(),
        micros(folded) / 1e3,
        micros(cloned) / 1e3,
        bytes.len() as f64 / 1e6,
        micros(written) / 1e3,
        micros(read) / 1e3,
        micros(hashed) / 1e3,
    );
}

// A mixed history.

fn fold(quick: bool) {
    let (apps, length, rounds) = if quick {
        (500, 3_000, 1)
    } else {
        (10_000, 50_000, 6)
    };
    let mut maker = Maker::new(7, apps);
    let mut state = State::new(Settings::default());
    let mut floor = Floor::default();
    for (at, body) in maker.beginning() {
        step(&mut state, at, &body, Execution::AtOnce);
        floor.take(&body);
    }
    assert_eq!(state.rules_refused(), None, "the rules of the bench");
    println!(
        "mixed history, {apps} applications, {} rules; the floor takes the same events into hash maps and judges nothing",
        state.rules().rules().len()
    );
    let mut best: f64 = 0.0;
    for _ in 0..rounds {
        let events: Vec<(Timestamp, Body)> = (0..length).map(|_| maker.event()).collect();
        let before = state.seq();
        let began = Instant::now();
        for (at, body) in &events {
            black_box(step(&mut state, *at, body, Execution::AtOnce));
        }
        let ours = rate(events.len(), began.elapsed());
        let concluded = state.seq() - before - events.len() as u64;
        let began = Instant::now();
        for (_, body) in &events {
            floor.take(black_box(body));
        }
        let theirs = rate(events.len(), began.elapsed());
        best = best.max(ours);
        println!(
            "  {ours:>9.0} events/s, {:.2} conclusions an event; floor {theirs:>9.0} events/s, {:.2} times as fast",
            concluded as f64 / events.len() as f64,
            theirs / ours
        );
    }
    let rate = if quick { 0.0 } else { 500_000.0 };
    goal("fold and judge, best round", best, "events/s", rate, true);
    // Once more, each by itself: what takes the time. The clock is read in between, which costs.
    let events: Vec<(Timestamp, Body)> = (0..length).map(|_| maker.event()).collect();
    let mut kinds: BTreeMap<String, Vec<(Duration, usize)>> = BTreeMap::new();
    for (at, body) in &events {
        let began = Instant::now();
        let done = step(&mut state, *at, body, Execution::AtOnce);
        let took = (began.elapsed(), done.conclusions.len());
        kinds.entry(body.kind().to_owned()).or_default().push(took);
    }
    for (kind, mut took) in kinds {
        took.sort();
        let sum: Duration = took.iter().map(|(time, _)| *time).sum();
        let concluded: usize = took.iter().map(|(_, concluded)| concluded).sum();
        let count = took.len();
        println!(
            "  {kind:<24} {count:>6}, mean {:>7.2} us, median {:>7.2} us, most {:>9.2} us, {:.2} conclusions",
            micros(sum) / count as f64,
            micros(took[count / 2].0),
            micros(took[count - 1].0),
            concluded as f64 / count as f64
        );
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn rate(events: usize, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}

/// What any fold must do: remember what was pushed and what was found.
#[derive(Default)]
struct Floor {
    manifests: HashMap<Digest, Vec<Digest>>,
    tags: HashMap<(String, String), Digest>,
    scans: HashMap<Digest, Vec<Finding>>,
    overrides: HashMap<String, String>,
}

impl Floor {
    fn take(&mut self, body: &Body) {
        match body {
            Body::ImagePushed(push) => {
                let children = push.manifests.iter().flatten();
                let children = children.map(|child| child.digest.clone()).collect();
                self.manifests.insert(push.digest.clone(), children);
                if let Some(tag) = &push.tag {
                    let tag = (push.repository.to_string(), tag.to_string());
                    self.tags.insert(tag, push.digest.clone());
                }
            }
            Body::ScanCompleted(scan) => {
                let findings = scan.findings.clone().unwrap_or_default();
                self.scans.insert(scan.digest.clone(), findings);
            }
            Body::OverrideGranted(one) => {
                let (id, vulnerability) = (one.override_id.clone(), one.vulnerability.clone());
                self.overrides.insert(id, vulnerability);
            }
            Body::OverrideRevoked(one) => {
                self.overrides.remove(&one.override_id);
            }
            Body::TagDeleted(gone) => {
                let tag = (gone.repository.to_string(), gone.tag.to_string());
                self.tags.remove(&tag);
            }
            Body::ManifestDeleted(gone) => {
                self.manifests.remove(&gone.digest);
            }
            _ => {}
        }
    }
}

// A scan that wakes a hundred applications.

fn wake(quick: bool) {
    let rounds = if quick { 1 } else { 20 };
    let now: Timestamp = "2026-03-02T10:00:00Z".parse().expect("a time");
    let mut state = State::new(Settings::default());
    step(&mut state, now, &rules(), Execution::AtOnce);
    let (mut waiting, mut open) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let shared = digest("shared", round);
        for app in 0..100 {
            let own = digest("own", round * 100 + app);
            step(
                &mut state,
                now,
                &completed(own.clone(), Vec::new(), now),
                Execution::AtOnce,
            );
            let children = vec![
                descriptor(own, "component", Some("own")),
                descriptor(shared.clone(), "component", Some("shared")),
            ];
            let repository = format!("dev/team-{}/app-{app}", app % history::TEAMS);
            let index = digest("app", round * 100 + app);
            let push = push(
                &repository,
                Some(&format!("1.{round}")),
                index,
                Some(children),
            );
            step(&mut state, now, &push, Execution::AtOnce);
        }
        let first = completed(shared.clone(), Vec::new(), now);
        let began = Instant::now();
        let done = step(&mut state, now, &first, Execution::AtOnce);
        waiting.push(began.elapsed());
        assert!(
            done.conclusions.len() >= 200,
            "a decision and a promotion each"
        );
        let finding = Finding {
            id: "CVE-1".into(),
            severity: weir_schema::Severity::Critical,
            package: None,
            version: None,
            fixed_version: None,
            score: None,
            layer: None,
        };
        let worse = completed(shared, vec![finding], now);
        let began = Instant::now();
        let done = step(&mut state, now, &worse, Execution::AtOnce);
        open.push(began.elapsed());
        assert!(done.conclusions.len() >= 100, "a violation each");
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        micros(times[times.len() / 2])
    };
    let limit = if quick { 1e9 } else { 1_000.0 };
    goal(
        "scan that promotes 100 waiting applications, median",
        median(waiting),
        "us",
        limit,
        false,
    );
    goal(
        "scan that finds 100 promoted ones violated, median",
        median(open),
        "us",
        limit,
        false,
    );
}

// Steps by kind on states of three sizes.

fn steps(quick: bool) {
    let sizes: &[usize] = if quick {
        &[1_000, 3_000]
    } else {
        &[1_000, 100_000, 1_000_000]
    };
    let mut columns: Vec<Vec<Figure>> = Vec::new();
    for size in sizes {
        let mut world = World::new(*size);
        let floor = world.floor(if quick { 200 } else { 20_000 });
        let mut figures = vec![Figure {
            median: floor,
            mean: floor,
        }];
        for kind in KINDS {
            figures.push(Figure::of(world.measure(kind)));
        }
        columns.push(figures);
    }
    let title: Vec<String> = sizes.iter().map(|size| format!("{size:>16}")).collect();
    println!(
        "ns a record, median (mean), by number of tags      {}",
        title.join("")
    );
    let names = std::iter::once("floor: four look-ups in a hash map")
        .chain(KINDS.iter().map(|kind| kind.name));
    for (row, name) in names.enumerate() {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| format!("{:>8.0} ({:>5.0})", column[row].median, column[row].mean))
            .collect();
        let last = &columns[columns.len() - 1][row];
        println!(
            "{name:<50} {}   last to first {:.1}",
            cells.join(" "),
            last.median / columns[0][row].median
        );
    }
}

struct Figure {
    median: f64,
    mean: f64,
}

impl Figure {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let nanos = |time: &Duration| time.as_nanos() as f64;
        Self {
            median: nanos(&times[times.len() / 2]),
            mean: times.iter().map(nanos).sum::<f64>() / times.len() as f64,
        }
    }
}

// Memory.

fn memory(quick: bool) {
    let count = if quick { "2000" } else { "500000" };
    let resident = |what: &str| {
        let output = std::process::Command::new(std::env::current_exe().expect("a program"))
            .args(["--resident", what, count])
            .output()
            .expect("the bench starts itself");
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim()
            .parse::<f64>()
            .unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let limit = if quick { 1e9 } else { 400.0 };
    for (what, name) in [
        ("library", "tag on an image of its own, no rule"),
        ("waiting", "the same, waiting for its scan under a rule"),
        (
            "promoted",
            "the same, scanned and promoted: two tags, half of it",
        ),
        (
            "applications",
            "application of four images under a rule, waiting",
        ),
    ] {
        goal(name, resident(what), "bytes", limit, false);
    }
    for (what, name) in [
        ("same", "scan with a report that others have too"),
        (
            "similar",
            "scan whose 50 findings all but one others have too",
        ),
        ("different", "scan with 50 findings that nobody else has"),
    ] {
        println!("{name:<58} {:>12.1} bytes", resident(what));
    }
}

/// Prints what one of `count` takes, in bytes.
fn resident_of(what: &str, count: &str) {
    let count: usize = count.parse().expect("a number");
    let (each, state) = world::resident(what, count, || {
        let status = std::fs::read_to_string("/proc/self/status").expect("a Linux system");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("VmRSS");
        let number = line.split_whitespace().nth(1).expect("a number");
        number.parse::<f64>().expect("a number") * 1024.0
    });
    println!("{each}");
    black_box(state.seq());
}
