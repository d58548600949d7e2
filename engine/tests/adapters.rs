//! What the adapters make of what registries and scanners really send.
//!
//! Every payload in `fixtures/adapters` decodes to the lines of the file of the same name in
//! `fixtures/golden`: one line for each event, pending event, ignored part or rejection. After a
//! change, `WEIR_UPDATE_GOLDEN=1 cargo test -p weir-engine --test adapters` writes them anew; accept
//! them by reading the difference.

#[path = "adapters/forms.rs"]
mod forms;
#[path = "adapters/fuzz.rs"]
mod fuzz;
#[path = "adapters/published/mod.rs"]
mod published;
#[path = "adapters/registries.rs"]
mod registries;
#[path = "adapters/scanners.rs"]
mod scanners;
#[path = "adapters/variants/mod.rs"]
mod variants;
#[path = "adapters/words.rs"]
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, Decoded, Delivery, Need, decode, names, rejection};
use weir_schema::Received;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The files in the directories of `of`.
fn files(of: &Path) -> BTreeSet<PathBuf> {
    let directories = fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
    let directories = directories.filter(|path| path.is_dir());
    let files = directories.flat_map(|directory| fs::read_dir(directory).unwrap());
    files.map(|entry| entry.unwrap().path()).collect()
}

/// Every payload, as `source/file`, with its bytes.
fn payloads() -> Vec<(String, Vec<u8>)> {
    let root = fixtures().join("adapters");
    let payloads = files(&root).into_iter().map(|file| {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        (name, fs::read(&file).unwrap())
    });
    payloads.collect()
}

/// The bytes of the payload `source/file`.
fn payload(name: &str) -> Vec<u8> {
    fs::read(fixtures().join("adapters").join(name)).unwrap()
}

fn decode_as(adapter: Option<&str>, body: &[u8]) -> Vec<Decoded> {
    let settings = AdapterSettings::default();
    decode(&Delivery {
        adapter,
        source: "",
        delivery_id: None,
        headers: &[],
        body,
        settings: &settings,
    })
}

/// One line of a golden file.
fn line(decoded: Decoded) -> Value {
    match decoded {
        Decoded::Event(received) => serde_json::from_str(&received.json).unwrap(),
        Decoded::Ignored(reason) => json!({ "ignored": reason }),
        Decoded::Untold(reason) => json!({ "untold": reason }),
        Decoded::Rejected(rejected) => {
            json!({ "rejected": rejected.reason, "adapter": rejected.adapter })
        }
        Decoded::NeedsResolving(pending) => {
            let need = match pending.need() {
                Need::Digest {
                    repository,
                    tag,
                    registry,
                    ..
                } => {
                    json!({ "tag": format!("{repository}:{tag}"), "registry": registry })
                }
                Need::MediaType { digest, .. } => json!({ "media_type_of": digest.to_string() }),
                Need::Leaf(named) => json!({
                    "leaf_with_config": named.config_digest.to_string(),
                    "candidates": named.candidates.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "tags": named.tags.iter().map(|(name, tag)| format!("{name}:{tag}")).collect::<Vec<_>>(),
                    "claimed": named.claimed.as_ref().map(ToString::to_string),
                }),
            };
            json!({ "needs": need, "without_registry": line(pending.without_registry()) })
        }
    }
}

#[test]
fn every_fixture_decodes_to_its_golden_lines() {
    let update = std::env::var_os("WEIR_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let mut expected = BTreeSet::new();
    for (name, body) in payloads() {
        let lines = decode_as(None, &body)
            .into_iter()
            .map(|decoded| format!("{}\n", line(decoded)));
        let found: String = lines.collect();
        let stem = name.trim_end_matches(".jsonl").trim_end_matches(".json");
        let golden = fixtures().join("golden").join(format!("{stem}.jsonl"));
        expected.insert(golden.clone());
        if update {
            fs::create_dir_all(golden.parent().unwrap()).unwrap();
            fs::write(&golden, found).unwrap();
        } else if fs::read_to_string(&golden).ok().as_ref() != Some(&found) {
            wrong.push(format!("{name}:\n{found}"));
        }
    }
    let golden = files(&fixtures().join("golden"));
    assert_eq!(golden, expected, "golden files without a payload");
    assert!(
        wrong.is_empty(),
        "differ from their golden files:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_adapter_that_is_named_decodes_as_the_one_that_is_found() {
    for (name, body) in payloads() {
        let (source, _) = name.split_once('/').unwrap();
        let adapter = match source {
            "syft" => "cyclonedx",
            _ if name.ends_with(".openvex.json") => "openvex",
            _ if name.ends_with("sarif") || name.contains("Sarif") => "sarif",
            _ if name.contains("cdx") || name.contains("CycloneDx") => "cyclonedx",
            _ if name.contains("vuln") && source == "harbor" => "harbor-report",
            source => source,
        };
        assert_eq!(
            decode_as(Some(adapter), &body),
            decode_as(None, &body),
            "{name}"
        );
    }
}

#[test]
fn no_damage_to_a_payload_makes_a_decoder_panic_or_fall_silent() {
    for (name, body) in payloads() {
        let adapter = name.split_once('/').map(|(source, _)| source);
        let adapter = adapter.filter(|adapter| names().iter().any(|(name, _)| name == adapter));
        // Some twenty places of each, which differ from file to file.
        let step = body.len() / 20 + 1;
        for at in (0..body.len()).step_by(step) {
            let cut = &body[..at];
            let mut flipped = body.clone();
            flipped[at] ^= 1 << (at % 8);
            let mut removed = body.clone();
            removed.drain(at..(at + 17).min(body.len()));
            for damaged in [cut, &flipped, &removed] {
                for adapter in [None, adapter] {
                    assert!(!decode_as(adapter, damaged).is_empty(), "{name} at {at}");
                }
            }
        }
    }
}

#[test]
fn no_kind_of_value_in_any_field_makes_a_decoder_panic() {
    let values = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!("\u{0}ü"),
        json!([[]]),
        json!({"": 0}),
    ];
    for (name, body) in payloads() {
        let Ok(whole) = serde_json::from_slice::<Value>(&body) else {
            continue;
        };
        let mut pointers = Vec::new();
        collect_pointers(&whole, String::new(), &mut pointers);
        // Some sixty fields of each, spread over the whole.
        for pointer in pointers.iter().step_by(pointers.len() / 60 + 1) {
            for value in &values {
                let mut changed = whole.clone();
                *changed.pointer_mut(pointer).unwrap() = value.clone();
                let decoded = decode_as(None, changed.to_string().as_bytes());
                assert!(!decoded.is_empty(), "{name} {pointer}");
            }
        }
    }
}

fn collect_pointers(value: &Value, at: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect_pointers(value, format!("{at}/{name}"), pointers);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect_pointers(value, format!("{at}/{index}"), pointers);
            }
        }
        _ => {}
    }
    pointers.push(at);
}

#[test]
fn every_event_reads_back_as_it_is_written() {
    for (name, body) in payloads() {
        for decoded in decode_as(None, &body) {
            let received = match decoded {
                Decoded::Event(received) => *received,
                Decoded::Rejected(rejected) => rejection("", rejected),
                Decoded::Ignored(_) | Decoded::Untold(_) | Decoded::NeedsResolving(_) => continue,
            };
            assert_eq!(
                Received::from_json(received.json.as_bytes()).as_ref(),
                Ok(&received),
                "{name}"
            );
        }
    }
}

#[test]
fn a_body_of_ten_megabytes_is_read_or_refused_at_once() {
    let finding = r#"{"VulnerabilityID":"CVE-2099-0001","PkgName":"openssl","Severity":"HIGH"}"#;
    let report = String::from_utf8(payload("trivy/image-clean.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let head = report.to_string();
    let list = vec![finding; 10_000_000 / finding.len()].join(",");
    let body = head.replace(
        r#""Class":"os-pkgs""#,
        &format!(r#""Class":"os-pkgs","Vulnerabilities":[{list}]"#),
    );
    assert!(body.len() > 9_900_000);
    assert!(matches!(
        decode_as(None, body.as_bytes())[..],
        [Decoded::NeedsResolving(_)]
    ));

    for many in [
        "1\n".repeat(5_000_000),
        format!("[{}0]", "0,".repeat(5_000_000)),
        format!(r#"{{"events":[{}0]}}"#, "0,".repeat(5_000_000)),
    ] {
        assert!(matches!(
            decode_as(None, many.as_bytes())[..],
            [Decoded::Rejected(_)]
        ));
    }
}
