//! Promotion of an application of five images beside `skopeo copy --all`, in one run: within one
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
    let (from, to) = (Registry::start(), Registry::start());
    let all = clients([(from.host(), from.config()), (to.host(), to.config())]);
    let source = all.get(&from.host()).unwrap();
    let (digest, bytes) = {
        let application = app::flat_application("shop", &["api", "db", "proxy", "web"], &LAYERS);
        let bytes: usize = application.blobs.iter().map(Vec::len).sum();
        (
            application.push(&source, "dev/shop", Some("1.0")).await,
            bytes,
        )
    };
    println!("an application of five images, {} MB", bytes / 1_000_000);

    // How many times as fast as skopeo: the gate leaves room for a loaded machine.
    for (way, target, gate, goal) in [
        ("same registry", &from, 2.5, 5.0),
        ("other registry", &to, 0.8, 1.0),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let path = format!("{}/round{round}", way.replace(' ', "-"));
            let plan = plan(
                &from.host(),
                &target.host(),
                &format!("{path}/weir"),
                &digest,
            );
            let began = Instant::now();
            copy::run(&plan, &all, Arc::new(|_| {})).await.unwrap();
            ours.push(began.elapsed());
            let skopeo_target = format!("{}/{path}/skopeo", target.host());
            theirs.push(skopeo(&from.host(), &skopeo_target));
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

fn plan(from: &str, to: &str, path: &str, digest: &Digest) -> Plan {
    Plan {
        digest: digest.clone(),
        source: format!("{from}/dev/shop").parse().unwrap(),
        source_tag: Some("1.0".parse().unwrap()),
        target: format!("{to}/{path}").parse().unwrap(),
        target_tag: "1.0".parse().unwrap(),
        expected: None,
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
