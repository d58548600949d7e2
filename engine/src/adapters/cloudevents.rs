//! CloudEvents 1.0: Weir's own events, and those of types that Weir does not know, which are
//! recorded and change nothing. Structured mode here; binary mode (attributes in `ce-` headers) is
//! put together first.

use base64::Engine as _;
use serde_json::{Map, Value, value::RawValue};
use weir_schema::{Event, Received, within_default};

use super::context::Context;
use super::json;
use super::problem::Problem;
use super::{Decoded, clip, percent_decoded};
use crate::structured::{from_structured, is_structured};

/// The header by which the intake says that a delivery proves no more than the source it is from.
pub const SOURCE_ONLY_HEADER: &str = "weir-source-only";

/// Marks a delivery that proves no more than its source. The headers are sorted.
pub fn mark_source_only(headers: &mut Vec<(String, String)>) {
    headers.retain(|(name, _)| name != SOURCE_ONLY_HEADER);
    headers.push((SOURCE_ONLY_HEADER.to_owned(), "1".to_owned()));
    headers.sort();
}

/// What people decide, and what follows from it: nothing that a registry or a scanner does.
const OF_OPERATORS: [&str; 5] = [
    "weir.rules.",
    "weir.override.",
    "weir.approval.",
    "weir.hold.",
    "weir.promotion.",
];

/// Decodes one event.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = context.body();
    let received = if is_binary(context) {
        json::value(body)?;
        from_binary(attributes(context), body)
    } else {
        // For its complaint about what is no JSON at all.
        let text = json::text(body)?;
        from_structured(text.as_bytes())
    };
    let received = received.map_err(|error| match json::value(body) {
        Err(problem) => problem,
        Ok(_) => Problem::meaning(error),
    })?;
    let received = match &context.settings().default_registry {
        Some(host) => without_host(received, host)?,
        None => received,
    };
    let body = &received.event.body;
    let kind = body.kind();
    if body.is_for_weir_to_say() {
        return Err(Problem::meaning(format!(
            "`{kind}` is for Weir to say, and not taken from a delivery"
        )));
    }
    let proves_little = context.header(SOURCE_ONLY_HEADER).is_some();
    // What Weir itself says is known by its source and identifier: said before by others, it would
    // count as repeated.
    if proves_little && received.event.source == Event::OWN_SOURCE {
        return Err(Problem::field(
            "source",
            "this is Weir's own source, and the delivery proves only that another sent it",
        ));
    }
    if proves_little && is_for_operators(kind) {
        return Err(Problem::meaning(format!(
            "`{kind}` is for operators to say, and the delivery proves only that a source sent it: it needs `http.token`, or over NATS the subject `registry.events.{kind}`"
        )));
    }
    Ok(vec![Decoded::Event(Box::new(received))])
}

/// Whether events of this type are for operators to say.
pub(super) fn is_for_operators(kind: &str) -> bool {
    OF_OPERATORS.iter().any(|start| kind.starts_with(start))
}

/// The event with the repositories of the default registry named as all others name them.
fn without_host(received: Received, host: &str) -> Result<Received, Problem> {
    if !received.json.contains(host) {
        return Ok(received);
    }
    let mut event = json::value(received.json.as_bytes())?;
    if !event
        .get_mut("data")
        .is_some_and(|data| leave_out(data, host))
    {
        return Ok(received);
    }
    Received::from_json(event.to_string().as_bytes())
        .map_err(|error| Problem::meaning(error.to_string()))
}

/// Whether a repository in it had that host.
fn leave_out(data: &mut Value, host: &str) -> bool {
    let mut had = false;
    match data {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(name) if matches!(&**key, "repository" | "target") => {
                        if let Some(path) = within_default(name, host).map(str::to_owned) {
                            *name = path;
                            had = true;
                        }
                    }
                    other => had |= leave_out(other, host),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                had |= leave_out(item, host);
            }
        }
        _ => {}
    }
    had
}

/// Whether the attributes of the event are in headers.
fn is_binary(context: &Context<'_>) -> bool {
    let content_type = context.header("content-type");
    context.header("ce-type").is_some() && !content_type.is_some_and(is_structured)
}

/// An event in binary mode, from its attributes as they stand in headers and its data (CloudEvents HTTP
/// binding, section 3.1; NATS binding, section 3.1).
///
/// # Errors
/// What is wrong with an attribute, the data or the event.
pub fn from_binary<'a, Name: Into<String>>(
    attributes: impl IntoIterator<Item = (Name, &'a str)>,
    data: &[u8],
) -> Result<Received, String> {
    let mut read = Map::new();
    for (name, value) in attributes {
        let name = name.into();
        let value = attribute(value).map_err(|problem| format!("`ce-{name}`: {problem}"))?;
        if read.insert(name.clone(), value.into()).is_some() {
            return Err(format!("`ce-{name}` comes twice"));
        }
    }
    let data: &RawValue = match data.trim_ascii() {
        b"" => serde_json::from_str("{}"),
        data => serde_json::from_slice(data),
    }
    .map_err(|error| format!("the data of the event is no JSON: {error}"))?;
    Received::from_parts(read, data).map_err(|error| error.to_string())
}

/// The text of an attribute in a header.
fn attribute(value: &str) -> Result<String, &'static str> {
    if !value.is_ascii() {
        return Err("not ASCII: all else is sent percent-encoded in UTF-8, `é` as `%C3%A9`");
    }
    let is_escape = |after: &str| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !value.split('%').skip(1).all(is_escape) {
        return Err(
            "a `%` is not followed by two hexadecimal digits: for itself it is sent as `%25`",
        );
    }
    let decoded = percent_decoded(value);
    match value.contains('%') && decoded == value {
        true => Err("what is percent-encoded is not UTF-8"),
        false => Ok(decoded),
    }
}

/// The attributes of an event in binary mode.
fn attributes<'a>(context: &Context<'a>) -> impl Iterator<Item = (&'static str, &'a str)> {
    let names = [
        ("specversion", "ce-specversion"),
        ("id", "ce-id"),
        ("source", "ce-source"),
        ("type", "ce-type"),
        ("time", "ce-time"),
        ("subject", "ce-subject"),
    ];
    let found = names.map(|(name, header)| Some((name, context.header(header)?)));
    found.into_iter().flatten()
}

/// An event in a dialect that is a CloudEvent: its type, its own attributes, its data.
pub(super) struct Wrapped {
    pub(super) kind: String,
    pub(super) id: Option<String>,
    pub(super) time: Option<weir_schema::Timestamp>,
    pub(super) data: Value,
    /// The whole object, for attributes that stand beside the data (Harbor's `operator`).
    pub(super) whole: Value,
}

/// Reads a CloudEvent, structured or binary, without knowing its type.
pub(super) fn unwrap(context: &Context<'_>) -> Result<Wrapped, Problem> {
    let body = json::value(context.body())?;
    if is_binary(context)
        && let Some(kind) = context.header("ce-type")
    {
        return Ok(Wrapped {
            kind: percent_decoded(kind),
            id: context.header("ce-id").map(percent_decoded),
            time: context.header("ce-time").and_then(super::time::from_text),
            data: body,
            whole: Value::Null,
        });
    }
    let mut whole = body;
    let text = |name: &str| {
        let text = whole.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let kind = text("type").ok_or_else(|| Problem::Missing {
        path: "type".into(),
    })?;
    let id = text("id");
    let time = whole.get("time").and_then(super::time::from_json);
    let encoded = text("data_base64");
    let data = match (whole.get_mut("data").map(Value::take), encoded) {
        // Some senders put the data in as text.
        (Some(Value::String(data)), _) => {
            json::value(data.as_bytes()).map_err(|problem| Problem::field("data", problem))?
        }
        (Some(data), _) if !data.is_null() => data,
        (_, Some(encoded)) => {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .map_err(|error| Problem::field("data_base64", error))?;
            json::value(&bytes).map_err(|problem| Problem::field("data_base64", problem))?
        }
        _ => {
            return Err(Problem::Missing {
                path: format!("data` of the event `{}", clip(&kind)),
            });
        }
    };
    Ok(Wrapped {
        kind,
        id,
        time,
        data,
        whole,
    })
}
