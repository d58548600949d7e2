//! How many notifications one core decodes in a second, by source: from the bytes of a delivery to
//! the event as it goes into the log.
//!
//! `cargo bench -p weir-engine --bench adapters`. The target is 100,000 notifications a second and
//! core for what a registry sends in numbers.

use std::{
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use weir_engine::adapters::{AdapterSettings, Delivery, decode};

/// How long each payload is decoded over and over.
const TIME: Duration = Duration::from_secs(1);

fn main() {
    println!(
        "{:<44} {:>9} {:>12} {:>9}",
        "payload", "bytes", "decoded/s", "MB/s"
    );
    for (adapter, file) in [
        (Some("distribution"), "distribution/raw-body.json"),
        (None, "distribution/raw-body.json"),
        (
            Some("distribution"),
            "distribution/several-events-in-one-body.json",
        ),
        (Some("harbor"), "harbor/artifact-pushed.json"),
        (Some("zot"), "zot/nats-image-updated.json"),
        (Some("dtr"), "dtr/tag-push.json"),
        (Some("gar"), "gar/insert-digest.json"),
        (Some("ghcr"), "ghcr/package-published-docker.json"),
        (Some("trivy"), "trivy/image-with-findings.json"),
        (Some("grype"), "grype/dojo-many_vulns4.json"),
    ] {
        measure(adapter, file);
    }
}

fn measure(adapter: Option<&str>, file: &str) {
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
    let (began, mut decoded) = (Instant::now(), 0_u32);
    while began.elapsed() < TIME {
        for _ in 0..16 {
            decoded += u32::try_from(black_box(decode(&delivery)).len()).unwrap_or(0);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let per_second = f64::from(decoded) / seconds;
    let once = f64::from(u32::try_from(decode(&delivery).len()).unwrap_or(1));
    let megabytes = per_second / once * f64::from(u32::try_from(body.len()).unwrap_or(0)) / 1e6;
    let name = match adapter {
        Some(_) => file.to_owned(),
        None => format!("{file} (recognised)"),
    };
    println!(
        "{name:<44} {:>9} {per_second:>12.0} {megabytes:>9.1}",
        body.len()
    );
}
