//! A copy between registries takes the same little memory whatever the size of what it moves.

mod support;

use std::sync::Arc;

use support::{
    app,
    registry::{Registry, clients},
};
use weir_engine::copy::{self, Plan};

/// What a copy may take, in KiB.
const MOST: u64 = 64 << 10;

/// Four times that in all, in layers that are moved at the same time.
const LAYERS: [usize; 8] = [32 << 20; 8];

/// The only test of its process, for memory is counted by process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moving_256_mib_takes_less_than_64() {
    if peak_memory().is_none() {
        // Only Linux tells.
        return;
    }
    let (from, to) = (Registry::start(), Registry::start());
    let clients = clients([(from.host(), from.config()), (to.host(), to.config())]);
    let source = clients.get(&from.host()).unwrap();
    let digest = push_one_by_one(&source).await;
    // The first call ends the peak of pushing, the second one tells what is in use.
    let _pushing = peak_memory();
    let before = peak_memory().unwrap();
    let plan = Plan {
        digest,
        source: format!("{}/dev/large", from.host()).parse().unwrap(),
        source_tag: None,
        target: format!("{}/prod/large", to.host()).parse().unwrap(),
        target_tag: "1.0".parse().unwrap(),
        expected: None,
        known_referrers: Default::default(),
    };
    let outcome = copy::run(&plan, &clients, Arc::new(|_| {})).await.unwrap();
    assert!(outcome.progress.bytes_moved > 256 << 20);
    let taken = peak_memory().unwrap().saturating_sub(before);
    assert!(taken < MOST, "{taken} KiB");
}

/// Pushes an image whose layers are never in memory together.
async fn push_one_by_one(client: &weir_engine::oci::Client) -> weir_schema::Digest {
    let mut layers = Vec::new();
    for (n, size) in LAYERS.iter().enumerate() {
        let layer = app::noise(&format!("layer {n}"), *size);
        layers.push(app::descriptor(app::LAYER, &layer));
        let digest = weir_schema::Digest::of(&layer);
        let upload = client.start_upload("dev/large").await.unwrap();
        client
            .finish_upload(upload, &digest, layer.into())
            .await
            .unwrap();
    }
    let mut image = app::image("large", "amd64", &[]);
    let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifests[0].1).unwrap();
    manifest["layers"].as_array_mut().unwrap().extend(layers);
    image.manifests[0].1 = manifest.to_string().into_bytes();
    image.push(client, "dev/large", Some("1.0")).await
}

/// The most memory that this process had since the last call, in KiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak = line.split_ascii_whitespace().next()?.parse().ok();
    // "5" sets the peak back to what is in use.
    let _best_effort = std::fs::write("/proc/self/clear_refs", "5");
    peak
}
