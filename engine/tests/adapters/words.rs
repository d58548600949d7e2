//! Deliveries and their meaning in a few words, so that a case is a payload and a line.

use serde_json::Value;
use weir_engine::adapters::{AdapterSettings, Decoded, Delivery, Need, decode};
use weir_schema::{Body, Digest, Finding, Received, SmolStr, media_type};

use crate::payload;

/// A whole digest that is easy to see.
pub fn digest(pair: &str) -> String {
    format!("sha256:{}", pair.repeat(32))
}

pub fn decode_with(
    headers: &[(&str, &str)],
    settings: &AdapterSettings,
    body: &str,
) -> Vec<Decoded> {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    decode(&Delivery {
        adapter: None,
        source: "test",
        delivery_id: None,
        headers: &headers.collect::<Vec<_>>(),
        body: body.as_bytes(),
        settings,
    })
}

pub fn decode_text(body: &str) -> Vec<Decoded> {
    decode_with(&[], &AdapterSettings::default(), body)
}

/// An event in a few words.
pub fn words(received: &Received) -> String {
    let short = |digest: &Digest| digest.hex()[..4].to_owned();
    match &received.event.body {
        Body::ImagePushed(push) => {
            let tag = push
                .tag
                .as_ref()
                .map_or(String::new(), |tag| format!(":{tag}"));
            let kind = match push.media_type.as_str() {
                kind if media_type::is_index(kind) => "index",
                kind if kind.contains("manifest") => "image",
                _ => "something",
            };
            format!(
                "pushed {kind} {}{tag} {}",
                push.repository,
                short(&push.digest)
            )
        }
        Body::TagDeleted(deleted) => format!("deleted {}:{}", deleted.repository, deleted.tag),
        Body::ManifestDeleted(deleted) => {
            format!("deleted {}@{}", deleted.repository, short(&deleted.digest))
        }
        Body::ManifestResolved(facts) => format!(
            "resolved {} children {}",
            short(&facts.digest),
            facts.manifests.as_ref().map_or(0, Vec::len)
        ),
        Body::ScanCompleted(scan) => {
            let found = match (&scan.findings, &scan.counts) {
                (Some(findings), _) => {
                    let ids = findings
                        .iter()
                        .map(|finding| format!(" {}={}", finding.id, finding.severity));
                    ids.collect()
                }
                (None, Some(counts)) => {
                    let counts = counts.0.iter().rev();
                    counts
                        .map(|(severity, count)| format!(" {severity}*{count}"))
                        .collect()
                }
                (None, None) => String::from("?"),
            };
            format!(
                "scanned {} by {}:{found}",
                short(&scan.digest),
                scan.scanner.name
            )
        }
        Body::ScanFailed(scan) => format!("scan failed {} {}", short(&scan.digest), scan.reason),
        Body::ScanStarted(scan) => format!("scan started {}", short(&scan.digest)),
        Body::OverrideGranted(granted) => {
            let scope = granted.scope.clone().unwrap_or_default();
            let digest = scope.digest.as_ref().map_or(String::new(), short);
            format!(
                "override {} {digest} {}",
                granted.vulnerability,
                scope.package.unwrap_or_default()
            )
        }
        body => body.kind().to_owned(),
    }
}

/// What a delivery means, a line each.
pub fn meaning(decoded: Vec<Decoded>) -> Vec<String> {
    let lines = decoded.into_iter().map(|decoded| match decoded {
        Decoded::Event(received) => {
            let again = Received::from_json(received.json.as_bytes());
            assert_eq!(again.as_ref(), Ok(&*received), "what is kept is read again");
            words(&received)
        }
        Decoded::Ignored(_) => "ignored".into(),
        Decoded::Untold(_) => "untold".into(),
        Decoded::Rejected(rejected) => format!("rejected {}", rejected.reason),
        Decoded::NeedsResolving(pending) => match pending.need().clone() {
            Need::Digest {
                repository, tag, ..
            } => format!("resolve {repository}:{tag}"),
            Need::MediaType { digest, .. } => {
                format!(
                    "type? {}",
                    words(&pending.with_digest(digest, media_type::OCI_MANIFEST))
                )
            }
            Need::Leaf(named) => match named.claimed {
                Some(digest) => format!(
                    "leaf? {}",
                    words(&pending.with_digest(digest, media_type::OCI_MANIFEST))
                ),
                None => "leaf?".into(),
            },
        },
    });
    lines.collect()
}

/// `expected` are beginnings of the lines.
pub fn check(body: &Value, expected: &[&str]) {
    check_text(&body.to_string(), expected);
}

pub fn check_text(body: &str, expected: &[&str]) {
    check_found(&meaning(decode_text(body)), body, expected);
}

/// As [`check`], with headers of the delivery.
pub fn check_with(headers: &[(&str, &str)], body: &Value, expected: &[&str]) {
    let body = body.to_string();
    let found = meaning(decode_with(headers, &AdapterSettings::default(), &body));
    check_found(&found, &body, expected);
}

fn check_found(found: &[String], body: &str, expected: &[&str]) {
    let equal = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.starts_with(expected));
    assert!(equal, "{found:#?} is not {expected:#?}\nof {body}");
}

/// A fixture with other values.
pub fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut value = serde_json::from_slice(&payload(name)).unwrap();
    change(&mut value);
    value
}

/// The findings of the scans among these: `ID SEVERITY PACKAGE@VERSION FIXED_VERSION` each.
pub fn findings(decoded: Vec<Decoded>) -> Vec<String> {
    let scans = decoded.into_iter().filter_map(|one| match one {
        Decoded::Event(event) => match event.event.body {
            Body::ScanCompleted(scan) => scan.findings,
            _ => None,
        },
        _ => None,
    });
    let text = |text: Option<SmolStr>| text.unwrap_or_default();
    let line = |one: Finding| {
        let package = format!("{}@{}", text(one.package), text(one.version));
        let line = format!(
            "{} {} {package} {}",
            one.id,
            one.severity,
            text(one.fixed_version)
        );
        line.trim_end().to_owned()
    };
    scans.flatten().map(line).collect()
}
