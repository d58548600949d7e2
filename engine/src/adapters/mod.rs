//! What registries and scanners really send, decoded into events.
//!
//! Pure functions: no clock, no IO. Each source has a small module that knows its format and its
//! traps; what they share is beside them. What cannot be read is rejected with the place and the
//! cause, never guessed; what is no event of ours is ignored with a reason.
//!
//! ```text
//! Delivery ── decode ──> Event           ready for the log
//!                    ├─> NeedsResolving  a digest, a media type or a leaf is missing: Pending
//!                    ├─> Ignored         pulls, blobs, pings
//!                    ├─> Untold          the registry has to be compared: reconciling
//!                    └─> Rejected        recorded as weir.input.rejected
//! ```
//!
//! An event's `source` is `/registries/NAME` or `/scanners/NAME` with the name that the
//! configuration gives the source; its `id` is the source's own where it has one that a redelivery
//! keeps, else a SHA-256 over type, time and data. A repository is named as its source names it,
//! without the default registry's host and after the `registry` of the source's settings.
//!
//! The table *Sources* of the README says what each source gives and lacks, and what Weir does about it;
//! each module says why.

mod acr;
mod auth;
mod cloudevents;
mod cloudtrail;
mod context;
mod cosign_vuln;
mod cyclonedx;
mod cyclonedx_fix;
mod cyclonedx_vex;
mod detect;
mod distribution;
mod dockerhub;
mod dtr;
mod ecr;
mod ecr_home;
mod excerpt;
mod field;
mod gar;
mod ghcr;
mod grype;
mod harbor;
mod harbor_report;
mod jfrog;
mod json;
mod nexus;
mod openvex;
mod pending;
mod percent;
mod problem;
mod purl;
mod quay;
mod reference;
mod report;
mod sarif;
mod sarif_result;
mod sarif_scan;
mod systems;
mod time;
mod trivy;
mod trivy_operator;
mod vex;
mod vex_against;
mod zot;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_schema::{Body, Digest, Event, InputRejected, Received, ScanCompleted};

pub use auth::{AuthError, WebhookAuth, verify};
pub use cloudevents::{SOURCE_ONLY_HEADER, from_binary, mark_source_only};
pub use pending::{Named, Need, Pending, UNKNOWN_MEDIA_TYPE, registry_for};
pub use report::{ASKED_HEADER, SUBJECT_HEADER};

pub(crate) use excerpt::excerpt;

use context::Context;
use percent::percent_decoded;
use problem::Problem;

/// One delivery of a source: the body of a webhook, a message, a file.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The adapter that the configuration names; `None` to find it by headers and body.
    pub adapter: Option<&'a str>,
    /// The source's name in the configuration: part of the events' CloudEvents `source`. If empty,
    /// the adapter's name stands in.
    pub source: &'a str,
    /// What identifies this delivery at the intake (a stream sequence, for example), for sources
    /// that give neither an identifier nor a time: Quay and JFrog say "tag 1.0 was pushed" in the
    /// same words each time. `None` makes such events equal.
    pub delivery_id: Option<&'a str>,
    /// Headers, with lower-case names.
    pub headers: &'a [(String, String)],
    /// The payload.
    pub body: &'a [u8],
    /// How the configuration says to read this source.
    pub settings: &'a AdapterSettings,
}

/// How the configuration says to read a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdapterSettings {
    /// The host that counts as the default registry: it is left out of repository names.
    pub default_registry: Option<String>,
    /// The host of the registry that this source is. It is put before repository names that have
    /// no host, unless it is the default registry.
    pub registry: Option<String>,
    /// The scanner to name where a registry reports a failed scan without saying whose. Default:
    /// `trivy`, what Harbor comes with.
    pub scanner: Option<String>,
    /// Whether VEX of this source becomes overrides although a delivery proves no more than that it
    /// is from the source: it waives vulnerabilities. With `http.token` any source may.
    pub vex: bool,
}

/// What one event of a delivery is.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// An event, ready for the log.
    Event(Box<Received>),
    /// An event that lacks something which the payload does not say.
    NeedsResolving(Box<Pending>),
    /// No event of ours, and why: it is not recorded.
    Ignored(String),
    /// Something happened that the payload does not tell whole, and what: comparing the registry
    /// with the log finds it.
    Untold(String),
    /// It cannot be read: to be recorded, see [`rejection`].
    Rejected(InputRejected),
}

/// What kind of source an adapter is for; the first part of its events' `source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Registry,
    Scanner,
    Other,
}

struct Adapter {
    name: &'static str,
    about: &'static str,
    origin: Origin,
    decode: fn(&Context<'_>) -> Result<Vec<Decoded>, Problem>,
}

const ADAPTERS: &[Adapter] = &[
    Adapter {
        name: "distribution",
        about: "CNCF distribution (registry 2 and 3): notifications",
        origin: Origin::Registry,
        decode: distribution::decode,
    },
    Adapter {
        name: "harbor",
        about: "Harbor: webhooks of both formats, and of Harbor 1.x",
        origin: Origin::Registry,
        decode: harbor::decode,
    },
    Adapter {
        name: "zot",
        about: "zot: events over NATS and HTTP",
        origin: Origin::Registry,
        decode: zot::decode,
    },
    Adapter {
        name: "dtr",
        about: "Docker Trusted Registry and MSR 2 and 3: webhooks",
        origin: Origin::Registry,
        decode: dtr::decode,
    },
    Adapter {
        name: "quay",
        about: "Quay: repository notifications",
        origin: Origin::Registry,
        decode: quay::decode,
    },
    Adapter {
        name: "ecr",
        about: "Amazon ECR and Inspector through EventBridge",
        origin: Origin::Registry,
        decode: ecr::decode,
    },
    Adapter {
        name: "acr",
        about: "Azure Container Registry: webhooks and Event Grid",
        origin: Origin::Registry,
        decode: acr::decode,
    },
    Adapter {
        name: "gar",
        about: "Google Artifact Registry through Pub/Sub",
        origin: Origin::Registry,
        decode: gar::decode,
    },
    Adapter {
        name: "ghcr",
        about: "GitHub Packages: webhooks about containers",
        origin: Origin::Registry,
        decode: ghcr::decode,
    },
    Adapter {
        name: "dockerhub",
        about: "Docker Hub: webhooks",
        origin: Origin::Registry,
        decode: dockerhub::decode,
    },
    Adapter {
        name: "jfrog",
        about: "JFrog Artifactory: webhooks about Docker images",
        origin: Origin::Registry,
        decode: jfrog::decode,
    },
    Adapter {
        name: "nexus",
        about: "Sonatype Nexus: webhooks about components and assets",
        origin: Origin::Registry,
        decode: nexus::decode,
    },
    Adapter {
        name: "trivy",
        about: "Trivy: reports as JSON, CycloneDX or SARIF",
        origin: Origin::Scanner,
        decode: trivy::decode,
    },
    Adapter {
        name: "grype",
        about: "Grype: reports as JSON, CycloneDX or SARIF",
        origin: Origin::Scanner,
        decode: grype::decode,
    },
    Adapter {
        name: "harbor-report",
        about: "reports of Harbor's scanner adapters",
        origin: Origin::Scanner,
        decode: harbor_report::decode,
    },
    Adapter {
        name: "sarif",
        about: "SARIF 2.1.0 from a scanner of images",
        origin: Origin::Scanner,
        decode: sarif::decode,
    },
    Adapter {
        name: "cyclonedx",
        about: "CycloneDX with vulnerabilities: scans and VEX",
        origin: Origin::Scanner,
        decode: cyclonedx::decode,
    },
    Adapter {
        name: "openvex",
        about: "OpenVEX documents: overrides",
        origin: Origin::Scanner,
        decode: openvex::decode,
    },
    Adapter {
        name: "cosign-vuln",
        about: "in-toto attestations of scans (cosign `vuln`, in-toto `vulns`)",
        origin: Origin::Scanner,
        decode: cosign_vuln::decode,
    },
    Adapter {
        name: "cloudevents",
        about: "Weir's own events, and any other CloudEvents 1.0",
        origin: Origin::Other,
        decode: cloudevents::decode,
    },
];

/// The field with the names of the fields that a registry was asked for.
const RESOLVED: &str = "resolved";
/// The field with the names of the fields that nobody told.
const ASSUMED: &str = "assumed";
/// The field with the digest of the configuration that a report names.
const CONFIG_DIGEST: &str = "config_digest";
/// The field with the digest that a report names where another image of it is meant.
const REPORTED_DIGEST: &str = "reported_digest";
/// The field with the tag of a push that its registry has at another manifest by now.
const OVERTAKEN_TAG: &str = "overtaken_tag";

/// The field with a scanner's own name of its report.
const REPORT_ID: &str = "report_id";

/// What adapters add to the data of events, beside the fields of their schemas; rules do not read it.
pub const FURTHER_FIELDS: [&str; 6] = [
    RESOLVED,
    ASSUMED,
    CONFIG_DIGEST,
    REPORTED_DIGEST,
    OVERTAKEN_TAG,
    REPORT_ID,
];

/// Stands for the adapter of a delivery that none was found for.
const UNKNOWN: &str = "unknown";

/// The most events that one body may hold. Sources send one or a few; a body of millions of empty
/// ones would cost memory out of all proportion.
const MOST_EVENTS: usize = 10_000;

/// Refuses a body of more than [`MOST_EVENTS`] events.
fn at_most(events: usize) -> Result<(), Problem> {
    if events > MOST_EVENTS {
        return Err(Problem::meaning(format!(
            "more than {MOST_EVENTS} events in one body"
        )));
    }
    Ok(())
}

/// Lines of one body that are refused each with its reason: a report behind a line of a log would be
/// thousands.
const REFUSED_LINES: usize = 16;

/// Other names under which people look for an adapter.
const ALIASES: &[(&str, &str)] = &[("weir", "cloudevents")];

/// The names of the adapters, each with a line about it.
#[must_use]
pub fn names() -> Vec<(&'static str, &'static str)> {
    let names = ADAPTERS.iter();
    names.map(|adapter| (adapter.name, adapter.about)).collect()
}

/// Decodes a delivery. The result is never empty: what is nothing says so.
///
/// A body of several JSON lines is read as a delivery each, a list as a delivery each, an object
/// of just `headers` and `body` as the delivery that it records, and a form with a field `payload`
/// (GitHub's other content type) as what that holds.
#[must_use]
pub fn decode(delivery: &Delivery<'_>) -> Vec<Decoded> {
    if let Some((mut headers, body)) = detect::recorded(delivery.body) {
        // What is recorded in it cannot make a delivery prove more than it does.
        let own = delivery.headers.iter();
        let stays = |name: &str| matches!(name, SOURCE_ONLY_HEADER | ASKED_HEADER);
        headers.extend(own.filter(|(name, _)| stays(name)).cloned());
        let recorded = Delivery {
            headers: &headers,
            body: &body,
            ..*delivery
        };
        return of_one_image(&recorded, decode_body(&recorded));
    }
    let decoded = match detect::form(delivery.headers, delivery.body) {
        Some(body) => decode_body(&Delivery {
            body: &body,
            ..*delivery
        }),
        None => decode_lines(delivery),
    };
    of_one_image(delivery, decoded)
}

/// Decodes a body that may be several lines.
fn decode_lines(delivery: &Delivery<'_>) -> Vec<Decoded> {
    let Some(lines) = json::lines(delivery.body, MOST_EVENTS) else {
        return decode_body(delivery);
    };
    if let Err(problem) = at_most(lines.len()) {
        return vec![context(delivery).rejected(&problem)];
    }
    let mut decoded = Vec::new();
    let (mut refused, mut last) = (0, 0);
    for (line, body) in lines {
        for mut one in decode_body(&Delivery { body, ..*delivery }) {
            if let Decoded::Rejected(rejected) = &mut one {
                (refused, last) = (refused + 1, line);
                if refused > REFUSED_LINES {
                    continue;
                }
                rejected.reason = format!("line {line}: {}", rejected.reason);
            }
            decoded.push(one);
        }
    }
    if refused > REFUSED_LINES {
        let problem = Problem::meaning(format!(
            "{} more, up to line {last}, are refused as well; a document of several lines stands alone in its body",
            refused - REFUSED_LINES
        ));
        decoded.push(context(delivery).rejected(&problem));
    }
    decoded
}

/// Refuses what is about the one image that the sender names, where it holds several reports and
/// they do not add up to one scan: by one scanner they find different things, so that the last would
/// hide what the others found; or one of them cannot be read, and the rest is not all that was found.
fn of_one_image(delivery: &Delivery<'_>, decoded: Vec<Decoded>) -> Vec<Decoded> {
    if header(delivery.headers, SUBJECT_HEADER).is_none() {
        return decoded;
    }
    let unreadable = decoded.iter().find_map(|one| match one {
        Decoded::Rejected(rejected) => Some(&rejected.reason),
        _ => None,
    });
    let problem = if contradict(&decoded) {
        format!(
            "several scans by one scanner, and `{SUBJECT_HEADER}` names one image: which of them is about it is not said; send that one alone"
        )
    } else if let Some(reason) = unreadable
        && decoded.iter().any(|one| scan(one).is_some())
    {
        format!(
            "a part of what `{SUBJECT_HEADER}` says to be about one image cannot be read, so the rest is not all that was found in it; send the report alone: {reason}"
        )
    } else {
        return decoded;
    };
    vec![context(delivery).rejected(&Problem::meaning(problem))]
}

/// The completed scan, if it is one.
fn scan(decoded: &Decoded) -> Option<&ScanCompleted> {
    let Decoded::Event(event) = decoded else {
        return None;
    };
    match &event.event.body {
        Body::ScanCompleted(scan) => Some(scan),
        _ => None,
    }
}

/// Whether one scanner is said to have found different things in one image.
fn contradict(decoded: &[Decoded]) -> bool {
    let mut found = BTreeMap::new();
    decoded.iter().filter_map(scan).any(|scan| {
        let says = (&scan.findings, &scan.counts);
        let of = (&scan.scanner.name, &scan.digest);
        *found.entry(of).or_insert(says) != says
    })
}

/// Decodes one JSON value: an object is a delivery, a list is one per element.
fn decode_body(delivery: &Delivery<'_>) -> Vec<Decoded> {
    if !detect::is_list(delivery.body) || detect::is_one_report(delivery.body) {
        return decode_object(delivery);
    }
    let elements = json::parse::<Vec<&serde_json::value::RawValue>>(delivery.body);
    let elements = match elements.and_then(|list| at_most(list.len()).map(|()| list)) {
        Ok(elements) if elements.is_empty() => {
            return vec![Decoded::Ignored("an empty list".into())];
        }
        Ok(elements) => elements,
        Err(problem) => return vec![context(delivery).rejected(&problem)],
    };
    let each = elements.into_iter().flat_map(|element| {
        decode_object(&Delivery {
            body: element.get().as_bytes(),
            ..*delivery
        })
    });
    let mut decoded: Vec<Decoded> = each.collect();
    // A list of a form that nobody knows is one thing that cannot be read, not thousands.
    if let Some((Decoded::Rejected(first), others)) = decoded.split_first()
        && !others.is_empty()
        && others
            .iter()
            .all(|other| matches!(other, Decoded::Rejected(one) if one.reason == first.reason))
    {
        let problem = Problem::meaning(format!("in each element of the list: {}", first.reason));
        decoded = vec![context(delivery).rejected(&problem)];
    }
    decoded
}

fn decode_object(delivery: &Delivery<'_>) -> Vec<Decoded> {
    let adapter = match named(delivery) {
        Ok(adapter) => adapter,
        Err(problem) => return vec![context(delivery).rejected(&problem)],
    };
    let context = Context::new(delivery, adapter.name, adapter.origin);
    match (adapter.decode)(&context) {
        Ok(decoded) if decoded.is_empty() => {
            vec![context.ignored("the payload says nothing that is an event")]
        }
        Ok(decoded) => decoded
            .into_iter()
            .map(|one| without_waivers(&context, one))
            .collect(),
        Err(problem) => vec![context.rejected(&problem)],
    }
}

/// Whether a delivery says what a source may not: such a one must not look like any other where it
/// travels on.
#[must_use]
pub fn is_of_operators(delivery: &Delivery<'_>) -> bool {
    // Nothing that a registry sends is; and most of what comes is of registries.
    if delivery.adapter.is_some()
        && named(delivery).is_ok_and(|adapter| adapter.origin == Origin::Registry)
    {
        return false;
    }
    let says = |event: &Received| {
        cloudevents::is_for_operators(event.event.body.kind())
            || event.event.source == Event::OWN_SOURCE
    };
    decode(delivery)
        .iter()
        .any(|one| matches!(one, Decoded::Event(event) if says(event)))
}

/// Refuses an override that the delivery may not grant.
fn without_waivers(context: &Context<'_>, decoded: Decoded) -> Decoded {
    let is_waiver = |event: &Received| matches!(event.event.body, Body::OverrideGranted(_));
    let proves_little = context.header(SOURCE_ONLY_HEADER).is_some();
    match decoded {
        Decoded::Event(event)
            if proves_little && is_waiver(&event) && !context.settings().vex =>
        {
            context.rejected(&Problem::meaning(
                "a waiver, and the delivery proves only that a source sent it: it needs `http.token`, over NATS the subject `registry.intake.openvex`, or `vex = true` in the settings of the source",
            ))
        }
        decoded => decoded,
    }
}

/// The context of a delivery whose adapter is not known.
fn context<'a>(delivery: &'a Delivery<'a>) -> Context<'a> {
    let named = delivery.adapter.and_then(find);
    named.map_or_else(
        || Context::new(delivery, UNKNOWN, Origin::Other),
        |adapter| Context::new(delivery, adapter.name, adapter.origin),
    )
}

/// The adapter that the delivery names, or that fits it.
fn named(delivery: &Delivery<'_>) -> Result<&'static Adapter, Problem> {
    if let Some(name) = delivery.adapter {
        return find(name).ok_or_else(|| {
            let names: Vec<_> = ADAPTERS.iter().map(|adapter| adapter.name).collect();
            Problem::meaning(format!(
                "no adapter `{}`: there are {}",
                clip(name),
                names.join(", ")
            ))
        });
    }
    if let Some(adapter) = detect::detect(delivery.headers, delivery.body).and_then(find) {
        return Ok(adapter);
    }
    json::value(delivery.body)?;
    Err(Problem::meaning(
        "no adapter knows a payload of this form: name one with `--adapter` or in the configuration; a scanner that has none can write SARIF or CycloneDX",
    ))
}

fn find(name: &str) -> Option<&'static Adapter> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, name)| name);
    ADAPTERS.iter().find(|adapter| adapter.name == name)
}

/// The event that records a rejected input of the source named `source`. The same payload refused
/// for the same reason is the same event.
#[must_use]
pub fn rejection(source: &str, rejected: InputRejected) -> Received {
    let name = match (source, &rejected.adapter) {
        ("", Some(adapter)) => adapter.as_str(),
        ("", None) => "unknown",
        (source, _) => source,
    };
    let key = format!("{}\n{}", rejected.payload_digest, rejected.reason);
    Received::from(Event {
        id: Digest::of(key.as_bytes()).hex().into(),
        source: format!("/intake/{name}").into(),
        time: None,
        subject: None,
        body: Body::InputRejected(rejected),
    })
}

/// The value of the header `name`, which is lower-case.
fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(header, _)| header == name);
    found.map(|(_, value)| value.as_str())
}

/// A text short enough for a reason.
pub(crate) fn clip(text: &str) -> String {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
