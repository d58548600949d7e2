//! What one scan report may cost: as much as it says, and not that times all that it is about.
//!
//! The bounds on time are those of a debug build on a machine that does other things besides; what
//! they keep out takes many times as long.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what is measured is time"
)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_rules::{Execution, Settings, State, step};
use weir_schema::Event;

const MOST_TIME: Duration = Duration::from_secs(2);

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn digest(number: usize) -> String {
    format!("sha256:{number:064x}")
}

fn findings(count: usize, package: &str) -> Value {
    let one = |n| json!({"id": format!("CVE-{n}"), "severity": "LOW", "package": package});
    (0..count).map(one).collect()
}

/// Takes the events; the last is to take no more than [`MOST_TIME`].
fn check(events: &[(&str, Value)]) {
    let mut state = State::new(Settings::default());
    let mut taken = Duration::ZERO;
    for (kind, data) in events {
        let event = json!({
            "specversion": "1.0", "id": "1", "source": "test", "type": format!("weir.{kind}"), "data": data,
        });
        let event = Event::from_json(event.to_string().as_bytes()).unwrap();
        let at = "2026-03-02T00:00:00Z".parse().unwrap();
        let start = Instant::now();
        step(&mut state, at, &event.body, Execution::AtOnce);
        taken = start.elapsed();
    }
    println!("{taken:?}");
    assert!(taken <= MOST_TIME, "{taken:?}");
}

#[test]
fn what_two_scanners_found_of_many_images_is_put_together_once() {
    let covers: Vec<String> = (1..=2500).map(digest).collect();
    let report = |scanner: &str| {
        let data = json!({
            "digest": digest(1), "scanner": {"name": scanner}, "covers": covers,
            "findings": findings(2500, scanner),
        });
        ("scan.completed", data)
    };
    check(&[report("trivy"), report("grype")]);
}

#[test]
fn the_indexes_above_an_image_are_looked_for_once_and_not_for_each_finding() {
    let leaf = digest(1);
    let above: Vec<String> = (1000..2000).map(digest).collect();
    for scope in [digest(7), digest(1999)] {
        let rule = "//! from: dev/*\n//! to: prod/{1}\nscan.low == 0";
        let mut events = vec![
            (
                "rules.activated",
                json!({"files": [{"path": "ship.cel", "text": rule}]}),
            ),
            (
                "override.granted",
                json!({
                    "override_id": "o", "vulnerability": "CVE-1", "reason": "r", "actor": "ann",
                    "scope": {"digest": scope},
                }),
            ),
        ];
        events.extend(above.iter().map(|index| {
            let manifests = json!([{"digest": leaf, "media_type": IMAGE}]);
            (
                "manifest.resolved",
                json!({"digest": index, "media_type": INDEX, "manifests": manifests}),
            )
        }));
        let children = above
            .iter()
            .map(|index| json!({"digest": index, "media_type": INDEX}));
        let children: Value = children.collect();
        events.push((
            "image.pushed",
            json!({
                "repository": "dev/web", "tag": "1", "digest": digest(2), "media_type": INDEX,
                "manifests": children,
            }),
        ));
        let many: Value = (0..1000)
            .map(|n| json!({"id": "CVE-1", "severity": "LOW", "package": format!("p{n}")}))
            .collect();
        events.push((
            "scan.completed",
            json!({
                "digest": leaf, "scanner": {"name": "trivy"}, "findings": many,
            }),
        ));
        check(&events);
    }
}
