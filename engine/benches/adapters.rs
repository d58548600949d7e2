//! How many notifications one core decodes in a second, by source: from the bytes of a delivery to
//! the event as it goes into the log. Beside it, in the same run, what reading the same bytes as any
//! JSON costs at least.
//!
//! `cargo bench -p weir-engine --bench adapters`. The target is 100,000 notifications a second and
//! core for what a registry sends in numbers.

#[path = "support/ratio.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod ratio;

use std::{
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use ratio::{Better, Ratio};
use weir_engine::adapters::{AdapterSettings, Delivery, decode};

/// Rounds, of which each decodes and reads by turns.
const ROUNDS: usize = 7;

/// How long each payload is decoded, and read, in a round.
const TIME: Duration = Duration::from_millis(150);

/// Notifications a second and core that are asked for.
const TARGET: f64 = 100_000.0;

fn main() {
    println!(
        "{:<50} {:>7} {:>12} {:>8} {:>10}",
        "payload", "bytes", "decoded/s", "MB/s", "of reading"
    );
    for (adapter, file) in [
        (Some("harbor"), "harbor/artifact-pushed.json"),
        (Some("zot"), "zot/nats-image-updated.json"),
        (Some("dtr"), "dtr/tag-push.json"),
        (Some("gar"), "gar/insert-digest.json"),
        (Some("ghcr"), "ghcr/package-published-docker.json"),
        (Some("trivy"), "trivy/image-with-findings.json"),
        (Some("grype"), "grype/dojo-many_vulns4.json"),
        (None, "distribution/raw-body.json"),
        (
            Some("distribution"),
            "distribution/several-events-in-one-body.json",
        ),
    ] {
        measure(adapter, file);
    }
    let (rates, shares) = measure(Some("distribution"), "distribution/raw-body.json");
    let of_target: Vec<f64> = rates.iter().map(|rate| rate / TARGET).collect();
    Ratio::of(&of_target).print(
        "distribution's notifications a second and core, of 100,000",
        Better::Higher,
        1.0,
        1.0,
    );
    Ratio::of(&shares).print(
        "decoding one, as fast as reading it as any JSON",
        Better::Higher,
        0.3,
        0.5,
    );
}

/// Rates of each round, and their shares of the rate at which the same bytes are read.
fn measure(adapter: Option<&str>, file: &str) -> (Vec<f64>, Vec<f64>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adapters");
    let body = fs::read(root.join(file)).expect("the fixture is in the tree");
    let settings = AdapterSettings::default();
    let delivery = Delivery {
        adapter,
        source: "bench",
        delivery_id: Some("1"),
        headers: &[],
        body: &body,
        settings: &settings,
    };
    let (mut rates, mut shares) = (Vec::new(), Vec::new());
    let once = decode(&delivery).len() as f64;
    for _ in 0..ROUNDS {
        let read = rate(|| {
            let value: Result<serde_json::Value, _> = serde_json::from_slice(black_box(&body));
            black_box(value.is_ok());
        });
        let decoded = rate(|| {
            black_box(decode(black_box(&delivery)));
        });
        rates.push(decoded * once);
        shares.push(decoded / read);
    }
    let (median, share) = (Ratio::of(&rates).median, Ratio::of(&shares).median);
    let megabytes = median / once * body.len() as f64 / 1e6;
    let name = match adapter {
        Some(_) => file.to_owned(),
        None => format!("{file} (recognised)"),
    };
    println!(
        "{name:<50} {:>7} {median:>12.0} {megabytes:>8.1} {share:>10.2}",
        body.len()
    );
    (rates, shares)
}

/// How often a second of this thread's time something is done.
fn rate(mut once: impl FnMut()) -> f64 {
    let (began, wall) = (on_core(), Instant::now());
    let mut done = 0.0;
    while wall.elapsed() < TIME {
        for _ in 0..32 {
            once();
        }
        done += 32.0;
    }
    match (began, on_core()) {
        (Some(began), Some(now)) => done / (now - began).as_secs_f64(),
        _ => done / wall.elapsed().as_secs_f64(),
    }
}

/// For how long this thread has had a core, where the system tells (Linux).
fn on_core() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}
