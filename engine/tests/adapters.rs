//! What the adapters make of what registries and scanners really send.
//!
//! Every payload in `fixtures/adapters` decodes to the lines of the file of the same name in
//! `fixtures/golden`: one line for each event, pending event, ignored part or rejection. After a
//! change, `WEIR_UPDATE_GOLDEN=1 cargo test -p weir-engine --test adapters` writes them anew; accept
//! them by reading the difference.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, Decoded, Delivery, Need, decode, names, rejection};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every payload, as `source/file`, with its bytes.
fn payloads() -> Vec<(String, Vec<u8>)> {
    let mut payloads = Vec::new();
    for source in fs::read_dir(fixtures().join("adapters")).unwrap() {
        let source = source.unwrap().path();
        if !source.is_dir() {
            continue;
        }
        for file in fs::read_dir(&source).unwrap() {
            let file = file.unwrap().path();
            let name = file.strip_prefix(fixtures().join("adapters")).unwrap();
            payloads.push((name.display().to_string(), fs::read(&file).unwrap()));
        }
    }
    payloads.sort();
    payloads
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
                Need::Leaf {
                    config_digest,
                    candidates,
                    tags,
                    claimed,
                } => json!({
                    "leaf_with_config": config_digest.to_string(),
                    "candidates": candidates.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "tags": tags.iter().map(|(name, tag)| format!("{name}:{tag}")).collect::<Vec<_>>(),
                    "claimed": claimed.as_ref().map(ToString::to_string),
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
    for (name, body) in payloads() {
        let lines = decode_as(None, &body)
            .into_iter()
            .map(|decoded| format!("{}\n", line(decoded)));
        let found: String = lines.collect();
        let stem = name
            .rsplit_once('.')
            .map_or(name.as_str(), |(stem, _)| stem);
        let golden = fixtures().join("golden").join(format!("{stem}.jsonl"));
        if update {
            fs::create_dir_all(golden.parent().unwrap()).unwrap();
            fs::write(&golden, found).unwrap();
        } else if fs::read_to_string(&golden).ok().as_ref() != Some(&found) {
            wrong.push(format!("{name}:\n{found}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "differ from their golden files:\n{}",
        wrong.join("\n")
    );
}
