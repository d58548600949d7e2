//! Which adapter a delivery is for, by its headers or the shape of its body. The body is read once,
//! and only the names of its top-level fields and a few texts are looked at.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Headers with lower-case names.
type Headers = Vec<(String, String)>;

/// What the top level of a payload looks like.
#[derive(Default)]
struct Shape<'a> {
    fields: Vec<(String, &'a RawValue)>,
    list: bool,
}

/// The adapter for a delivery; `None` if nothing is known that looks like it.
pub(super) fn detect(headers: &[(String, String)], body: &[u8]) -> Option<&'static str> {
    by_headers(headers).or_else(|| {
        let shape = shape(body)?;
        if shape.list {
            return is_one_report(body).then_some("trivy");
        }
        by_shape(&shape)
    })
}

/// Which report format `body` is, for adapters that take several.
pub(super) fn of_report(body: &[u8]) -> Option<&'static str> {
    by_shape(&shape(body)?)
}

/// Whether `body` is a resource of the Trivy operator, or holds one.
pub(super) fn is_of_operator(body: &[u8]) -> bool {
    shape(body).is_some_and(|shape| is_of_operator_by_shape(&shape))
}

fn is_of_operator_by_shape(shape: &Shape<'_>) -> bool {
    const GROUP: &str = "aquasecurity.github.io/";
    let version = shape.text("apiVersion").unwrap_or_default();
    // What `kubectl get` writes of several resources.
    let listed = || {
        let kind = shape.text("kind").unwrap_or_default();
        let items = shape.get("items").map(RawValue::get).unwrap_or_default();
        kind == "List" && items.contains(GROUP)
    };
    // A report taken out of its resource, which looks like Harbor's but for what it counts.
    let alone = || {
        let summary = shape.get("summary").map(RawValue::get).unwrap_or_default();
        shape.get("artifact").is_some() && summary.contains("\"criticalCount\"")
    };
    shape.get("operatorObject").is_some() || version.starts_with(GROUP) || listed() || alone()
}

/// Whether `body` is a list: then its elements are deliveries.
pub(super) fn is_list(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.trim_ascii_start().first() == Some(&b'[')
}

/// Whether `body` is a list that is one report: what Trivy wrote before its second schema.
pub(super) fn is_one_report(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Result {
        #[serde(rename = "Target")]
        _target: String,
        r#type: Option<IgnoredAny>,
        vulnerabilities: Option<IgnoredAny>,
    }
    // Any other list ends this at its first element.
    let Ok(text) = super::json::text(body) else {
        return false;
    };
    serde_json::from_str::<Vec<Result>>(text).is_ok_and(|results| {
        let of_trivy = |one: &Result| one.r#type.is_some() || one.vulnerabilities.is_some();
        results.first().is_some_and(of_trivy)
    })
}

/// What a form (`application/x-www-form-urlencoded`) holds in its field `payload`.
pub(super) fn form(headers: &[(String, String)], body: &[u8]) -> Option<Vec<u8>> {
    let said = super::header(headers, "content-type").unwrap_or_default();
    if !said.starts_with("application/x-www-form-urlencoded") && !body.starts_with(b"payload=") {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let mut fields = text.split('&').filter_map(|field| field.split_once('='));
    let (_, payload) = fields.find(|(name, _)| *name == "payload")?;
    Some(super::percent_decoded(&payload.replace('+', " ")).into_bytes())
}

/// A delivery that was recorded with its headers: an object of just `headers` and `body`.
pub(super) fn recorded(body: &[u8]) -> Option<(Headers, Vec<u8>)> {
    // Most payloads are none, which their first field tells.
    let start = body
        .trim_ascii_start()
        .strip_prefix(b"{")?
        .trim_ascii_start();
    if !start.starts_with(b"\"headers\"") && !start.starts_with(b"\"body\"") {
        return None;
    }
    let shape = shape(body)?;
    if shape.fields.len() != 2 || shape.list {
        return None;
    }
    let headers: std::collections::BTreeMap<String, String> =
        serde_json::from_str(shape.get("headers")?.get()).ok()?;
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value));
    let body = shape.get("body")?.get();
    // A body that is text was recorded as it was.
    let body = serde_json::from_str::<String>(body).unwrap_or_else(|_| body.to_owned());
    Some((headers.collect(), body.into_bytes()))
}

fn by_headers(headers: &[(String, String)]) -> Option<&'static str> {
    let header = |name: &str| super::header(headers, name);
    if let Some(kind) = header("ce-type") {
        return Some(by_event_type(kind));
    }
    // They send GitHub's headers too, and bodies that are not GitHub's.
    if header("x-gitea-event").is_some() || header("x-forgejo-event").is_some() {
        return None;
    }
    let content_type = header("content-type").unwrap_or_default();
    if content_type.starts_with("application/vnd.docker.distribution.events.") {
        return Some("distribution");
    }
    [
        ("x-github-event", "ghcr"),
        ("x-nexus-webhook-id", "nexus"),
        ("x-jfrog-event-auth", "jfrog"),
    ]
    .into_iter()
    .find_map(|(name, adapter)| header(name).map(|_| adapter))
}

/// The adapter for a CloudEvent of type `kind`.
fn by_event_type(kind: &str) -> &'static str {
    if kind.starts_with("harbor.") {
        "harbor"
    } else if kind.starts_with("zotregistry.") {
        "zot"
    } else if kind.starts_with("Microsoft.") {
        "acr"
    } else if kind.starts_with("google.cloud.pubsub.") {
        "gar"
    } else {
        "cloudevents"
    }
}

fn by_shape(shape: &Shape<'_>) -> Option<&'static str> {
    let has = |name: &str| shape.get(name).is_some();
    let text = |name: &str| shape.text(name).unwrap_or_default();
    let kind = text("type");

    if has("specversion") || kind.starts_with("weir.") {
        return Some(by_event_type(&kind));
    }
    let found = if has("events") {
        "distribution"
    } else if has("detail-type")
        || (has("TopicArn") && kind_of_sns(shape))
        || has("Records")
        || (has("eventSource") && has("eventName"))
    {
        "ecr"
    } else if is_of_operator_by_shape(shape) {
        "trivy"
    } else if is_of_event_grid(&text("eventType")) && (has("data") || has("topic")) {
        "acr"
    } else if has("bomFormat") || shape.holds_sbom() {
        "cyclonedx"
    } else if has("runs") {
        "sarif"
    } else if text("@context").contains("openvex") {
        "openvex"
    } else if has("predicateType")
        || has("dsseEnvelope")
        || (has("payloadType") && has("payload"))
        || (has("scanner") && has("invocation"))
    {
        "cosign-vuln"
    } else if has("ArtifactType")
        || shape.has_number("SchemaVersion")
        || (has("Target") && has("Type"))
        || (has("ClusterName") && (has("Resources") || has("Vulnerabilities") || has("Findings")))
    {
        "trivy"
    } else if has("matches") && (has("source") || has("descriptor")) {
        "grype"
    } else if has("event_data") {
        "harbor"
    } else if shape.is_harbor_report() {
        "harbor-report"
    } else if has("contents") && !kind.is_empty() {
        "dtr"
    } else if has("docker_url") || has("updated_tags") {
        "quay"
    } else if (has("message") && (has("subscription") || has("deliveryAttempt") || has("ackId")))
        || has("receivedMessages")
    {
        "gar"
    } else if shape.is_github_package() || (has("zen") && has("hook_id")) {
        "ghcr"
    } else if has("push_data") {
        "dockerhub"
    } else if has("domain") && has("event_type") {
        "jfrog"
    } else if has("repositoryName")
        && ["component", "asset", "components", "assets"]
            .into_iter()
            .any(has)
    {
        "nexus"
    } else if (has("action") && has("target") && !text("action").contains('.'))
        || text("action") == "ping"
    {
        // Actions in parts are IBM's.
        "acr"
    } else if (has("action") && (has("digest") || has("tag")))
        || (has("kind") && has("notificationTime"))
    {
        "gar"
    } else {
        return None;
    };
    Some(found)
}

/// Whether a type of event is one of Azure's, also by the names without the publisher before them.
/// Others have a field of that name too (Oracle's registry).
fn is_of_event_grid(kind: &str) -> bool {
    ["Microsoft.", "Image", "Chart"]
        .into_iter()
        .any(|start| kind.starts_with(start))
}

/// Whether this is what Amazon SNS sends to an address.
fn kind_of_sns(shape: &Shape<'_>) -> bool {
    let kind = shape.text("Type").unwrap_or_default();
    matches!(
        kind.as_str(),
        "Notification" | "SubscriptionConfirmation" | "UnsubscribeConfirmation"
    )
}

impl Shape<'_> {
    fn get(&self, name: &str) -> Option<&RawValue> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| *value)
    }

    /// Whether a field is a number: others write versions as texts.
    fn has_number(&self, name: &str) -> bool {
        let value = self.get(name).map(RawValue::get).unwrap_or_default();
        value.starts_with(|first: char| first.is_ascii_digit())
    }

    /// The text of a field; of the first element of a list of texts (`@context` may be one).
    fn text(&self, name: &str) -> Option<String> {
        let value = self.get(name)?.get();
        serde_json::from_str::<String>(value)
            .or_else(|_| serde_json::from_str::<Vec<String>>(value).map(|texts| texts.concat()))
            .ok()
    }

    /// Others' packages have neither an ecosystem nor a type of package, by whatever name.
    fn is_github_package(&self) -> bool {
        let package = self.get("package").map(RawValue::get).unwrap_or_default();
        self.get("registry_package").is_some()
            || ["\"package_type\"", "\"ecosystem\"", "\"package_version\""]
                .into_iter()
                .any(|field| package.contains(field))
    }

    /// Whether it is Amazon Inspector's answer to `ScanSbom`.
    fn holds_sbom(&self) -> bool {
        let sbom = self.get("sbom").map(RawValue::get).unwrap_or_default();
        sbom.contains("\"bomFormat\"")
    }

    fn is_harbor_report(&self) -> bool {
        let keyed = self.fields.iter().any(|(name, _)| {
            name.starts_with("application/vnd.scanner.adapter.vuln.report")
                || name.starts_with("application/vnd.security.vulnerability.report")
        });
        let has = |name: &str| self.get(name).is_some();
        keyed
            || (has("vulnerabilities")
                && has("scanner")
                && (has("generated_at") || has("artifact")))
    }
}

fn shape(body: &[u8]) -> Option<Shape<'_>> {
    let text = super::json::text(body).ok()?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let shape = reader.deserialize_any(TopLevel).ok()?;
    reader.end().ok()?;
    Some(shape)
}

struct TopLevel;

impl<'de> Visitor<'de> for TopLevel {
    type Value = Shape<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape<'de>, A::Error> {
        let mut shape = Shape::default();
        while let Some(name) = map.next_key::<String>()? {
            shape.fields.push((name, map.next_value()?));
        }
        Ok(shape)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Shape {
            fields: Vec::new(),
            list: true,
        })
    }
}
