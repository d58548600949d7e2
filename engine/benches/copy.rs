//! Promotion of an application of five images, 126 MB in all, beside `skopeo copy --all`, in one run: within one
//! registry, where we mount, and to another, where both move bytes.
//!
//! `cargo bench -p weir-engine --bench copy`; needs `docker-registry` and `skopeo`.

#[path = "support/ratio.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod ratio;
#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use ratio::{Better, Ratio};
use support::{
    app,
    registry::{Registry, clients},
};
use weir_engine::copy::{self, Plan};
use weir_schema::Digest;

/// Five images of four layers, 126 MB in all.
const LAYERS: [usize; 4] = [6_300_000; 4];

const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    // How many times as fast as skopeo: the gate leaves room for a loaded machine.
    for (way, mounts, gate, goal) in [
        ("same registry", true, 2.5, 5.0),
        ("other registry", false, 0.8, 1.0),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (weir, skopeo) = round(mounts).await;
            ours.push(weir);
            theirs.push(skopeo);
        }
        let factors = ours.iter().zip(&theirs);
        let factors: Vec<f64> = factors
            .map(|(ours, theirs)| theirs.as_secs_f64() / ours.as_secs_f64())
            .collect();
        let (ours, theirs) = (median(ours), median(theirs));
        println!("{way}: weir {ours:.2?}, skopeo {theirs:.2?}");
        let what = format!("{way}: times as fast as skopeo copy --all");
        Ratio::of(&factors).print(&what, Better::Higher, gate, goal);
    }
}

/// One promotion by each. The registries are new each time: skopeo keeps a note of which registry
/// has which blob somewhere, and would mount on the second round what it copied on the first.
async fn round(mounts: bool) -> (Duration, Duration) {
    let from = Registry::start();
    let others = [(); 2].map(|()| (!mounts).then(Registry::start));
    let [of_weir, of_skopeo] = others
        .each_ref()
        .map(|other| other.as_ref().unwrap_or(&from));
    let all = clients([&from, of_weir].map(|one| (one.host(), one.config())));
    let source = all.get(&from.host()).unwrap();
    let application = app::flat_application("shop", &["api", "db", "proxy", "web"], &LAYERS);
    let digest = application.push(&source, "dev/shop", Some("1.0")).await;

    let plan = plan(&from.host(), &of_weir.host(), "prod/weir", &digest);
    let began = Instant::now();
    copy::run(&plan, &all, Arc::new(|_| {})).await.unwrap();
    let weir = began.elapsed();
    let target = format!("{}/prod/skopeo", of_skopeo.host());
    (weir, skopeo(&from.host(), &target))
}

fn plan(from: &str, to: &str, path: &str, digest: &Digest) -> Plan {
    Plan {
        digest: digest.clone(),
        source: format!("{from}/dev/shop").parse().unwrap(),
        source_tag: Some("1.0".parse().unwrap()),
        target: format!("{to}/{path}").parse().unwrap(),
        target_tag: "1.0".parse().unwrap(),
        expected: None,
        known_referrers: Default::default(),
    }
}

fn skopeo(from: &str, target: &str) -> Duration {
    let began = Instant::now();
    let done = Command::new("skopeo")
        .args(["copy", "--all", "--quiet"])
        .args(["--src-tls-verify=false", "--dest-tls-verify=false"])
        .args([
            format!("docker://{from}/dev/shop:1.0"),
            format!("docker://{target}:1.0"),
        ])
        .output()
        .expect("skopeo is installed");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
