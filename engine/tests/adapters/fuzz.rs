//! Damaged payloads of every source, thousands of them and other ones each time somebody asks: no
//! decoder panics, hangs, falls silent, or makes an event that does not hold.
//!
//! `WEIR_FUZZ_SECONDS=600 cargo test --release -p weir-engine --test adapters damaged` goes on for so
//! long, with a seed of its own that it prints; `WEIR_FUZZ_SEED` repeats one.

use std::time::{Duration, Instant};

use serde_json::Value;
use weir_engine::adapters::{AdapterSettings, Decoded, Delivery, decode, names, rejection};
use weir_schema::{Body, Digest, Received};

use crate::payloads;

/// How long one small payload may take on a loaded machine.
const LONGEST: Duration = Duration::from_secs(5);

/// Payloads that an ordinary run of the tests damages.
const FEW: usize = 4_000;

/// Pseudo-random numbers (xorshift64*), the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

/// What stands in documents and in damaged ones.
const WORDS: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "1e300",
    "1.5",
    "99999999999999999999",
    "\"\"",
    "[]",
    "{}",
    "[[]]",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"sha256:\"",
    "\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"",
    "\"2026-13-45T99:00:00Z\"",
    "\u{feff}",
    "\u{2028}",
    "\"pkg:oci/a@sha256%3Aab\"",
    "{\"specversion\":\"1.0\"}",
    "\"data_base64\":\"e30=\",",
    "\"type\":\"weir.scan.completed\",",
    "\"Records\":[],",
    "\"events\":[",
];

/// One value of a document, somewhere.
fn somewhere<'a>(value: &'a mut Value, random: &mut Random) -> &'a mut Value {
    let children = match value {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if children == 0 || random.below(6) == 0 {
        return value;
    }
    let chosen = random.below(children);
    let child = match value {
        Value::Object(fields) => fields.values_mut().nth(chosen),
        Value::Array(items) => items.get_mut(chosen),
        _ => None,
    };
    somewhere(child.expect("one of its children"), random)
}

/// A document with parts moved, doubled, wrapped, taken out, or taken from another.
fn rearranged(whole: &Value, other: &Value, random: &mut Random) -> Value {
    let (mut whole, mut other) = (whole.clone(), other.clone());
    for _ in 0..=random.below(3) {
        let part = somewhere(&mut other, random).clone();
        let place = somewhere(&mut whole, random);
        match random.below(7) {
            0 => *place = part,
            1 => *place = Value::Array(vec![place.take()]),
            2 => *place = serde_json::json!({"data": place.take()}),
            3 => *place = Value::String(place.to_string()),
            4 => *place = serde_json::from_str(WORDS[random.below(12)]).unwrap_or_default(),
            5 => match place {
                Value::Object(fields) => {
                    let name = fields.keys().nth(random.below(fields.len())).cloned();
                    name.and_then(|name| fields.remove(&name));
                }
                Value::Array(items) => items.extend(items.clone()),
                other => *other = part,
            },
            _ => match (place, part) {
                (Value::Object(fields), Value::Object(more)) => fields.extend(more),
                (Value::Array(items), part) => items.push(part),
                (place, part) => *place = part,
            },
        }
    }
    whole
}

/// Text with bytes changed, cut, doubled, or words put in.
fn garbled(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => bytes.truncate(at),
            2 => {
                let end = (at + random.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let end = (at + random.below(64)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let word = WORDS[random.below(WORDS.len())].bytes();
                bytes.splice(at..at, word.collect::<Vec<_>>());
            }
        }
    }
    bytes
}

/// What must hold of whatever a decoder makes.
fn examine(decoded: &[Decoded], body: &[u8]) {
    let shown = || String::from_utf8_lossy(body).into_owned();
    assert!(!decoded.is_empty(), "silence at {}", shown());
    for one in decoded {
        let received = match one {
            Decoded::Event(received) => (**received).clone(),
            Decoded::Rejected(rejected) => {
                assert!(!rejected.reason.is_empty(), "no reason for {}", shown());
                rejection("", rejected.clone())
            }
            Decoded::NeedsResolving(pending) => {
                let digest = Digest::of(b"found");
                pending.clone().with_digest(digest, "application/json")
            }
            Decoded::Ignored(reason) | Decoded::Untold(reason) => {
                assert!(!reason.is_empty(), "no reason for {}", shown());
                continue;
            }
        };
        // What the log would refuse to read must not get there.
        let again = Received::from_json(received.json.as_bytes());
        assert_eq!(again.as_ref(), Ok(&received), "of {}", shown());
        if let Body::ScanCompleted(scan) = &received.event.body {
            assert_ne!(scan.digest, Digest::Sha256([0; 32]), "of {}", shown());
        }
    }
}

#[test]
fn damaged_payloads_are_decoded_refused_or_ignored_and_never_more_than_that() {
    let seconds: Option<u64> = std::env::var("WEIR_FUZZ_SECONDS")
        .ok()
        .map(|text| text.parse().unwrap());
    let seed = match std::env::var("WEIR_FUZZ_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) if seconds.is_some() => {
            Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id()) << 20 | 1
        }
        Err(_) => 0x5EED,
    };
    if seconds.is_some() {
        eprintln!("WEIR_FUZZ_SEED={seed}");
    }
    let mut random = Random(seed);
    let all: Vec<(String, Vec<u8>)> = payloads()
        .into_iter()
        .filter(|(_, body)| body.len() < 100_000)
        .collect();
    let documents: Vec<Value> = all
        .iter()
        .filter_map(|(_, body)| serde_json::from_slice(body).ok())
        .collect();
    let adapters: Vec<&str> = names().iter().map(|(name, _)| *name).collect();
    let settings = AdapterSettings {
        default_registry: Some("registry.example".into()),
        ..AdapterSettings::default()
    };
    let (began, mut done) = (Instant::now(), 0_usize);
    loop {
        match seconds {
            Some(seconds) if began.elapsed() >= Duration::from_secs(seconds) => break,
            None if done >= FEW => break,
            _ => {}
        }
        let document = &documents[random.below(documents.len())];
        let other = &documents[random.below(documents.len())];
        let mut body = match random.below(4) {
            0 => all[random.below(all.len())].1.clone(),
            _ => rearranged(document, other, &mut random)
                .to_string()
                .into_bytes(),
        };
        if random.below(3) == 0 {
            body = garbled(body, &mut random);
        }
        let adapter = match random.below(3) {
            0 => None,
            _ => Some(adapters[random.below(adapters.len())]),
        };
        let headers = match random.below(4) {
            0 => vec![
                ("ce-type".to_owned(), "harbor.scan.completed".to_owned()),
                ("ce-id".to_owned(), "1".to_owned()),
                ("ce-source".to_owned(), "s".to_owned()),
                ("ce-specversion".to_owned(), "1.0".to_owned()),
            ],
            _ => Vec::new(),
        };
        let started = Instant::now();
        let decoded = decode(&Delivery {
            adapter,
            source: "fuzz",
            delivery_id: Some("1"),
            headers: &headers,
            body: &body,
            settings: &settings,
        });
        let took = started.elapsed();
        assert!(
            took < LONGEST,
            "{took:?} for {} bytes of {adapter:?}",
            body.len()
        );
        examine(&decoded, &body);
        done += 1;
    }
    if seconds.is_some() {
        eprintln!("{done} payloads in {:?}", began.elapsed());
    }
}

/// Bodies of megabytes, made to cost as much as they can: ten where fuzzing was asked for.
#[test]
fn megabytes_of_whatever_a_source_may_repeat_are_read_or_refused_in_bounds() {
    // An ordinary run, not optimized, is content with two.
    let asked = std::env::var_os("WEIR_FUZZ_SECONDS").is_some();
    let size: usize = if asked { 10_000_000 } else { 2_000_000 };
    let many = |one: &str| vec![one; size / (one.len() + 1)].join(",");
    let hex = "ab".repeat(32);
    let bodies = [
        format!(
            r#"{{"repository":"a/b","docker_url":"quay.io/a/b","updated_tags":[{}]}}"#,
            many("\"a\"")
        ),
        format!(
            r#"{{"repository":"a/b","docker_url":"quay.io/a/b","updated_tags":[{}]}}"#,
            many("7")
        ),
        format!(
            r#"{{"type":"PUSH_ARTIFACT","event_data":{{"repository":{{"repo_full_name":"a/b"}},"resources":[{}]}}}}"#,
            many("{}")
        ),
        format!(
            r#"{{"type":"TAG_RETENTION","event_data":{{"retention":{{"project_name":"a","deleted_artifact":[{}]}}}}}}"#,
            many(r#"{"name_tag":"a:1"}"#)
        ),
        format!(r#"{{"version":"2.1.0","runs":[{}]}}"#, many("{}")),
        // Many results of one rule with a long text.
        format!(
            r#"{{"runs":[{{"tool":{{"driver":{{"name":"grype","rules":[{{"id":"CVE-1","help":{{"text":"{}"}}}}]}}}},"results":[{}]}}]}}"#,
            "x\\n".repeat(size / 6),
            vec![r#"{"ruleId":"CVE-1"}"#; size / 40].join(",")
        ),
        format!(
            r#"{{"@context":"https://openvex.dev/ns/v0.2.0","statements":[{}]}}"#,
            many("{}")
        ),
        // Each product in each subcomponent.
        format!(
            r#"{{"@context":"https://openvex.dev/ns/v0.0.1","statements":[{{"vulnerability":"CVE-1","status":"fixed","products":[{0}],"subcomponents":[{0}]}}]}}"#,
            vec![r#""pkg:apk/a/b@1""#; size / 40].join(",")
        ),
        format!(
            r#"{{"bomFormat":"CycloneDX","vulnerabilities":[{{"id":"CVE-1","analysis":{{"state":"resolved"}},"affects":[{}]}}]}}"#,
            many(r#"{"ref":"pkg:apk/a/b@1"}"#)
        ),
        format!(
            r#"{{"scanner":{{"name":"x"}},"generated_at":"","vulnerabilities":[{{"id":"CVE-1","artifact_digests":[{}]}}]}}"#,
            (0..size / 80)
                .map(|n| format!("\"sha256:{n:064x}\""))
                .collect::<Vec<_>>()
                .join(",")
        ),
        format!(
            r#"{{"eventSource":"ecr.amazonaws.com","eventName":"BatchDeleteImage","requestParameters":{{"repositoryName":"a","imageIds":[{}]}}}}"#,
            many(r#"{"imageTag":"1"}"#)
        ),
        format!(r#"{{"Records":[{}]}}"#, many("{}")),
        format!(r#"{{"receivedMessages":[{}]}}"#, many("{}")),
        format!(
            r#"{{"apiVersion":"aquasecurity.github.io/v1alpha1","kind":"VulnerabilityReportList","items":[{}]}}"#,
            many("{}")
        ),
        format!(
            r#"{{"predicateType":"x/vuln","predicate":{{}},"subject":[{}]}}"#,
            many(&format!(r#"{{"digest":{{"sha256":"{hex}"}}}}"#))
        ),
        format!(
            r#"{{"SchemaVersion":2,"Results":[{}]}}"#,
            many(r#"{"Class":"os-pkgs"}"#)
        ),
        format!(
            r#"{{"matches":[{}],"source":{{"type":"image"}}}}"#,
            many("{}")
        ),
        format!("{}{}", "[".repeat(size / 2), "]".repeat(size / 2)),
        format!("{{\"a\":{}1{}", "[".repeat(100), "]".repeat(99)),
        format!(
            "{{{}}}",
            (0..size / 12)
                .map(|n| format!("\"{n}\":1"))
                .collect::<Vec<_>>()
                .join(",")
        ),
        format!("payload={}", "%7B".repeat(size / 3)),
        format!("\"{}\"", "\\u00e9".repeat(size / 6)),
    ];
    let settings = AdapterSettings::default();
    for body in bodies {
        let began = Instant::now();
        let decoded = decode(&Delivery {
            adapter: None,
            source: "",
            delivery_id: None,
            headers: &[(
                "content-type".into(),
                "application/x-www-form-urlencoded".into(),
            )],
            body: body.as_bytes(),
            settings: &settings,
        });
        let shown = &body[..120.min(body.len())];
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{:?} for {shown}",
            began.elapsed()
        );
        assert!(
            (1..=10_001).contains(&decoded.len()),
            "{} of {shown}",
            decoded.len()
        );
    }
}
