//! What leads to a conclusion of more than a record holds: what is told of it is less, what it says is
//! the same, and nothing is lost of what fits.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_replay_tests::thawed;
use weir_rules::{Execution, Settings, State, recheck, step};
use weir_schema::{
    Body, Decision, Event, Position, Reason, ReasonCode, Received, Timestamp, Verdict,
    record::{self, MAX_RECORD_BYTES, NO_HASH},
};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

const SHIP: &str = "//! from: dev/*\n//! to: prod/{1}\ntrue\n";

/// Bytes of a record that a conclusion need not leave.
const LITTLE: usize = 8192;

/// A history, told once more from a snapshot before its last event: what follows from each event, as
/// records, and the last decision.
struct Told {
    records: Vec<Vec<u8>>,
    last: Vec<Body>,
    state: State,
}

fn told(events: &[(&str, Value)]) -> Told {
    let all: Vec<Body> = events.iter().map(|(kind, data)| said(kind, data)).collect();
    let once = fold(&all, false);
    let again = fold(&all, true);
    assert!(
        once.records == again.records,
        "told otherwise the second time"
    );
    assert_eq!(once.state.state_digest(), again.state.state_digest());
    for record in &once.records {
        assert!(record.len() <= MAX_RECORD_BYTES, "{} bytes", record.len());
    }
    once
}

fn said(kind: &str, data: &Value) -> Body {
    let event =
        json!({"specversion": "1.0", "id": kind, "source": "/t", "type": kind, "data": data});
    let received = Received::from_json(event.to_string().as_bytes());
    received.unwrap().event.body
}

fn fold(events: &[Body], from_snapshot: bool) -> Told {
    let mut state = State::new(Settings::default());
    let (mut records, mut last) = (Vec::new(), Vec::new());
    for (place, body) in events.iter().enumerate() {
        if from_snapshot && place + 1 == events.len() {
            state = thawed(&state, &Settings::default());
        }
        let done = step(&mut state, Timestamp::EPOCH, body, Execution::AtOnce);
        let trigger = done.seq;
        last.clear();
        for one in done.conclusions {
            last.push(one.body.clone());
            let event = Received::from(Event {
                id: one.seq.to_string().into(),
                source: Event::OWN_SOURCE.into(),
                time: Some(Timestamp::EPOCH),
                subject: None,
                body: one.body,
            });
            let position = Position::Step { trigger };
            let at = Timestamp::EPOCH;
            records.push(record::encode(one.seq, at, &event, &position, &NO_HASH));
        }
    }
    Told {
        records,
        last,
        state,
    }
}

impl Told {
    /// The last decision that the last event led to.
    fn decision(&self) -> &Decision {
        let made = self.last.iter().rev().find_map(|body| match body {
            Body::DecisionMade(made) => Some(made),
            _ => None,
        });
        made.expect("it leads to a decision")
    }

    /// Bytes of the longest record.
    fn longest(&self) -> usize {
        self.records.iter().map(Vec::len).max().unwrap_or(0)
    }
}

fn rules(files: &[(&str, &str)]) -> (&'static str, Value) {
    let files: Vec<Value> = files
        .iter()
        .map(|(path, text)| json!({"path": path, "text": text}))
        .collect();
    ("weir.rules.activated", json!({"files": files}))
}

fn digest(number: usize) -> String {
    format!("sha256:{number:064x}")
}

/// Scans of so many images that failed, for a reason that JSON has to escape.
fn failed(images: usize) -> Vec<(&'static str, Value)> {
    let failed = |number| {
        let data = json!({"digest": digest(number), "scanner": {"name": "trivy"},
            "reason": "\u{1}".repeat(1024)});
        ("weir.scan.failed", data)
    };
    (0..images).map(failed).collect()
}

/// The push of an index of so many images.
fn pushed(images: usize) -> (&'static str, Value) {
    let manifests: Vec<Value> = (0..images)
        .map(|number| json!({"digest": digest(number), "media_type": IMAGE}))
        .collect();
    let data = json!({"repository": "dev/shop", "tag": "1", "digest": digest(images),
        "media_type": INDEX, "manifests": manifests});
    ("weir.image.pushed", data)
}

/// So many overrides with such ids, a scan that finds what they waive, and the push of its image.
fn overridden(ids: &[String]) -> Vec<(&'static str, Value)> {
    let mut events = vec![rules(&[("ship.cel", SHIP)])];
    let mut findings = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        let vulnerability = format!("CVE-2099-{number}");
        findings.push(json!({"id": vulnerability, "severity": "CRITICAL", "package": "p"}));
        let granted = json!({"override_id": id, "vulnerability": vulnerability, "reason": "r",
            "actor": "ann"});
        events.push(("weir.override.granted", granted));
    }
    let scanned = json!({"digest": digest(0), "scanner": {"name": "trivy"}, "findings": findings});
    events.push(("weir.scan.completed", scanned));
    let pushed =
        json!({"repository": "dev/shop", "tag": "1", "digest": digest(0), "media_type": IMAGE});
    events.push(("weir.image.pushed", pushed));
    events
}

fn codes(reasons: &[Reason]) -> BTreeSet<ReasonCode> {
    reasons.iter().map(|reason| reason.code).collect()
}

/// The place and the message of the reason that tells what is left out.
fn note(reasons: &[Reason]) -> Option<(usize, &str)> {
    let messages = reasons.iter().map(|reason| reason.message.as_deref());
    let mut told = messages.enumerate().filter_map(|(place, message)| {
        let message = message?;
        message
            .starts_with("what is said of")
            .then_some((place, message))
    });
    let first = told.next();
    assert_eq!(told.next(), None, "it is told once");
    first
}

#[test]
fn failed_scans_of_more_than_a_record_holds_are_told_by_their_images() {
    const IMAGES: usize = 3000;
    let mut events = vec![rules(&[("ship.cel", SHIP)])];
    events.extend(failed(IMAGES));
    events.push(pushed(IMAGES));
    let mut told = told(&events);
    let decision = told.decision();
    assert_eq!(decision.verdict, Verdict::Block);
    assert_eq!(codes(&decision.reasons), [ReasonCode::ScanFailed].into());
    let images: BTreeSet<_> = decision.reasons.iter().map(|one| &one.digest).collect();
    assert_eq!(images.len(), IMAGES);
    let (place, message) = note(&decision.reasons).expect("what is left out is told");
    assert_eq!(
        message,
        format!(
            "what is said of it and of {} other reasons is left out: all together is more than a record of the log holds",
            IMAGES - place - 1
        )
    );
    for (number, reason) in decision.reasons.iter().enumerate() {
        assert_eq!(reason.message.is_some(), number <= place, "{number}");
    }
    // Asked again, it is what was said.
    let again = said("weir.image.pushed", &pushed(IMAGES).1);
    let again = step(&mut told.state, Timestamp::EPOCH, &again, Execution::AtOnce);
    assert_eq!(again.conclusions, []);
    assert_eq!(recheck(&told.state), Vec::<String>::new());
}

#[test]
fn nothing_is_left_out_of_a_decision_that_a_record_holds() {
    // With less than a hundred kibibytes to spare.
    const IMAGES: usize = 2665;
    let mut events = vec![rules(&[("ship.cel", SHIP)])];
    events.extend(failed(IMAGES));
    events.push(pushed(IMAGES));
    let failures = told(&events);
    assert!(failures.longest() > 15 << 20, "{}", failures.longest());
    let whole = |reason: &Reason| {
        reason
            .message
            .as_ref()
            .is_some_and(|text| text.len() > 1000)
    };
    assert!(failures.decision().reasons.iter().all(whole));

    // To the last byte that is not kept for what stands around it.
    let ids = |first: usize| [("a", first), ("b", 8 << 20)].map(|(id, bytes)| id.repeat(bytes));
    let all = told(&overridden(&ids((8 << 20) - LITTLE)));
    assert_eq!(all.decision().overrides, ids((8 << 20) - LITTLE));
    assert!(all.longest() > MAX_RECORD_BYTES - LITTLE);
}

#[test]
fn overrides_of_more_than_a_record_holds_are_told_by_their_beginnings() {
    let told = told(&overridden(&["a", "b"].map(|id| id.repeat(9_000_000))));
    let decision = told.decision();
    assert_eq!(decision.verdict, Verdict::Promote);
    let beginnings = ["a", "b"].map(|id| format!("{}…", id.repeat(1024)));
    assert_eq!(decision.overrides, beginnings);
}

#[test]
fn overrides_give_way_from_the_last() {
    // Beginnings alone are more than a record holds.
    let ids: Vec<String> = (0..3000)
        .map(|number| format!("{number:04}{}", "\u{1}".repeat(2000)))
        .collect();
    let told = told(&overridden(&ids));
    let kept = &told.decision().overrides;
    assert!((500..3000).contains(&kept.len()), "{}", kept.len());
    for (id, kept) in ids.iter().zip(kept) {
        assert_eq!(kept[..4], id[..4]);
    }
}

#[test]
fn what_somebody_waived_is_told_beside_what_objects() {
    const MANY: usize = 3000;
    let mut events = failed(MANY);
    events.push(pushed(MANY));
    for number in 0..MANY {
        let hold = json!({"hold_id": number.to_string(), "actor": "ann",
            "reason": "\u{1}".repeat(1024)});
        events.push(("weir.hold.placed", hold));
    }
    events.push((
        "weir.promotion.requested",
        json!({"repository": "dev/shop", "tag": "1", "actor": "\u{1}".repeat(1_000_000),
            "target": {"repository": "prod/shop", "tag": "1"}, "reason": "r",
            "waive": ["scan-failed"]}),
    ));
    let told = told(&events);
    let decision = told.decision();
    assert_eq!(decision.verdict, Verdict::Wait);
    assert_eq!(
        (decision.reasons.len(), decision.waived.len()),
        (MANY, MANY)
    );
    assert_eq!(codes(&decision.reasons), [ReasonCode::Held].into());
    assert_eq!(codes(&decision.waived), [ReasonCode::ScanFailed].into());
    assert!(note(&decision.reasons).is_some() && note(&decision.waived).is_some());
}

#[test]
fn a_violation_has_room_in_a_record_whatever_rules_say() {
    let ship = SHIP.replace("prod/{1}", "prod/all");
    let message = "{1}".repeat(20_000);
    let deny = format!("//! kind: deny\n//! from: dev/*\n//! message: {message}\ntrue\n");
    let denies = ["a.cel", "b.cel", "c.cel", "d.cel", "e.cel"].map(|path| (path, &*deny));
    let denied: Vec<_> = [("ship.cel", &*ship)].into_iter().chain(denies).collect();
    let told = told(&[
        rules(&[("ship.cel", &ship)]),
        scanned(),
        in_a_long_repository(),
        rules(&denied),
    ]);
    let [Body::ViolationFound(violation)] = &told.last[..] else {
        panic!("{} conclusions", told.last.len());
    };
    assert_eq!(codes(&violation.reasons), [ReasonCode::Denied].into());
    let rules = violation.reasons.iter().map(|one| one.deny_rule.as_deref());
    let rules: Vec<_> = rules.flatten().collect();
    assert_eq!(rules, ["a", "b", "c", "d", "e"]);
    let (_, message) = note(&violation.reasons).expect("what is left out is told");
    assert!(message.contains("of 3 other reasons"), "{message}");
}

#[test]
fn a_target_has_room_in_a_record_beside_what_is_said_of_it() {
    let ship = SHIP.replace("{1}", &"{1}".repeat(20_000));
    let ids = ["a", "b"].map(|id| id.repeat(5_000_000));
    let mut events = overridden(&ids);
    events[0] = rules(&[("ship.cel", &ship)]);
    events.pop();
    events.push(in_a_long_repository());
    let told = told(&events);
    let decision = told.decision();
    assert_eq!(decision.verdict, Verdict::Block);
    assert_eq!(codes(&decision.reasons), [ReasonCode::BadTag].into());
    assert_eq!(note(&decision.reasons), None);
    assert_eq!(decision.target.repository.len(), 4_000_005);
    assert_eq!(decision.overrides.len(), 2);
    assert!(decision.overrides[0].ends_with('…'));
}

/// The scan of an image that finds nothing.
fn scanned() -> (&'static str, Value) {
    let data = json!({"digest": digest(0), "scanner": {"name": "trivy"}, "findings": []});
    ("weir.scan.completed", data)
}

/// Its push, where the name of the repository is long.
fn in_a_long_repository() -> (&'static str, Value) {
    let name = format!("dev/{}", "a".repeat(200));
    let data = json!({"repository": name, "tag": "1", "digest": digest(0), "media_type": IMAGE});
    ("weir.image.pushed", data)
}
