//! An event that meets a thousand rules, of which ten speak of its repository.

use super::{Effort, hold, measure, median};
use std::hint::black_box;
use weir_rules::{Execution, Settings, State, step};
use weir_schema::{
    Body, Digest, Finding, ImagePushed, RuleFile, RulesActivated, ScanCompleted, Scanner, Severity,
    Timestamp,
};

const RULES: usize = 1000;
const MATCHING: usize = 10;

/// The medium rule of the page, in one that can be put into force.
fn rule(number: usize) -> RuleFile {
    let from = if number < MATCHING { 0 } else { number };
    RuleFile {
        path: format!("rule-{number:04}.cel"),
        text: format!(
            "//! from: team-{from}/*\n//! to: prod-{number}/{{1}}\n//! approvals: 1\n\n\
             tag.name.startsWith(\"v\") && tag.name != \"v0\" && scan.critical == 0 && scan.high < 5\n\
             && tag.name.size() < 20\n\
             && images.all(i, i.scan.state == \"completed\" && i.scan.critical == 0)\n"
        ),
    }
}

fn scanned(digest: &Digest, findings: usize, severity: Severity) -> Body {
    let finding = |number: usize| Finding {
        id: format!("CVE-2026-{number}").into(),
        severity,
        package: Some("zlib".into()),
        version: Some("1.2.13".into()),
        fixed_version: None,
        score: None,
        layer: None,
    };
    Body::ScanCompleted(ScanCompleted {
        digest: digest.clone(),
        scanner: Scanner {
            name: "trivy".to_owned().into(),
            version: None,
            db_updated_at: None,
        },
        findings: Some((0..findings).map(finding).collect()),
        counts: None,
        licenses: None,
        scanned_at: None,
        covers: None,
        report_digest: None,
    })
}

/// Time of an event: its record is folded and every subject that it touches is judged.
pub fn bench(effort: Effort) {
    let start: Timestamp = "2026-03-10T12:00:00Z".parse().expect("a time");
    let digest = Digest::of(b"an image");
    let files: Vec<RuleFile> = (0..RULES).map(rule).collect();
    let mut state = State::new(Settings::default());
    let take = |state: &mut State, body: &Body| step(state, start, body, Execution::Commands);
    let activated = Body::RulesActivated(RulesActivated { files, actor: None });
    take(&mut state, &activated);
    assert_eq!(state.rules().rules().len(), RULES, "the rules load");
    let pushed = Body::ImagePushed(ImagePushed {
        repository: "team-0/shop".parse().expect("a repository"),
        digest: digest.clone(),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        tag: Some("v1.4.2".parse().expect("a tag")),
        size: None,
        artifact_type: None,
        annotations: None,
        platform: None,
        manifests: None,
        actor: None,
        found_at_registry: false,
    });
    take(&mut state, &pushed);
    // One scan after another: the verdicts stay, or each changes with every scan.
    let (clean, low) = (
        scanned(&digest, 0, Severity::Low),
        scanned(&digest, 2, Severity::Low),
    );
    let critical = scanned(&digest, 2, Severity::Critical);
    let mut alternate = |first: &Body, second: &Body, conclusions: usize| {
        let times: Vec<f64> = (0..effort.rounds)
            .map(|_| {
                let mut odd = false;
                // The first may change what the scan before it left.
                take(&mut state, second);
                measure(effort, || {
                    odd = !odd;
                    let body = if odd { first } else { second };
                    take(black_box(&mut state), body).conclusions.len() == conclusions
                })
            })
            .collect();
        times
            .iter()
            .map(|nanos| nanos / 1000.0)
            .collect::<Vec<f64>>()
    };
    let stay = alternate(&clean, &low, 0);
    let change = alternate(&clean, &critical, MATCHING);
    println!(
        "{RULES} rules, {MATCHING} of them match: {:.1} us an event, {:.1} us if each decides anew",
        median(&stay),
        median(&change)
    );
    hold("an event", &stay, " us", 50.0, 5.0);
    hold(
        "an event that changes each verdict",
        &change,
        " us",
        50.0,
        5.0,
    );
}
