//! `GET /v1/openapi.json`: what can be asked and told over HTTP, described for programs.
//!
//! [`OPERATIONS`] is the one list of what there is: the description is made of it, and requests are
//! counted by it. The events' data is described by the JSON Schemas of the types themselves.

mod schemas;

use axum::Json;
use serde_json::{Map, Value, json};

/// Something that can be asked or told.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    /// Also takes these filters.
    filters: &'static [Parameter],
    body: Option<Content>,
    /// The status of success.
    status: u16,
    answer: Option<Content>,
}

/// Media type and schema of a body: the name of a component, or of a simple type.
type Content = (&'static str, Schema);

#[derive(Clone, Copy)]
enum Schema {
    Text,
    /// A value of any form.
    Any,
    /// A list of names.
    Names,
    One(&'static str),
    List(&'static str),
    OneOrList(&'static str),
    OneOf(&'static [&'static str]),
}

/// A parameter of an address.
#[derive(Clone, Copy)]
struct Parameter {
    name: &'static str,
    required: bool,
    about: &'static str,
    example: &'static str,
}

const fn must(name: &'static str, about: &'static str, example: &'static str) -> Parameter {
    Parameter {
        name,
        required: true,
        about,
        example,
    }
}

const fn may(name: &'static str, about: &'static str, example: &'static str) -> Parameter {
    Parameter {
        name,
        required: false,
        about,
        example,
    }
}

const JSON: &str = "application/json";
const EVENT: &str = "application/cloudevents+json";
const EVENTS: &str = "application/cloudevents-batch+json";

const REPOSITORY: Parameter = must("repository", "The repository.", "dev/shop");
const TAG: Parameter = must("tag", "The tag.", "1.4.0");
const RULE: Parameter = may("rule", "Only under this rule.", "to-staging");
const DIGEST: Parameter = may(
    "digest",
    "Only about this digest: in whole, or its first eight digits or more.",
    "sha256:0a1b2c3d",
);
const AT: Parameter = may(
    "at",
    "As it was at this record or time (RFC 3339, a date, or an age as `7d`); now if not given.",
    "2026-08-21T10:00:00Z",
);
const LIMIT: Parameter = may(
    "limit",
    "So many in a page: 1 to 1000, 1000 if not given.",
    "1000",
);
const SOURCE: Parameter = may(
    "source",
    "The name of the sender, as `[sources.NAME]` has it.",
    "harbor",
);

const fn asked(
    path: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answer: Schema,
) -> Operation {
    Operation {
        method: "get",
        path,
        summary,
        parameters,
        filters: &[],
        body: None,
        status: 200,
        answer: Some((JSON, answer)),
    }
}

const fn told(
    path: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    body: Option<Content>,
    status: u16,
    answer: Schema,
) -> Operation {
    Operation {
        method: "post",
        path,
        summary,
        parameters,
        filters: &[],
        body,
        status,
        answer: Some((JSON, answer)),
    }
}

const fn filtered(filters: &'static [Parameter], operation: Operation) -> Operation {
    Operation {
        filters,
        ..operation
    }
}

/// Name and summary of each question, `GET /v1/NAME`: what `read::questions` answers.
pub(super) fn questions() -> impl Iterator<Item = (&'static str, &'static str)> {
    let asked = OPERATIONS.iter().filter(|asked| asked.method == "get");
    asked.filter_map(|asked| {
        let name = asked.path.strip_prefix("/v1/")?;
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase());
        plain.then_some((name, asked.summary))
    })
}

/// All that there is.
pub(super) const OPERATIONS: [Operation; 27] = [
    filtered(
        &FILTERS,
        asked(
            "/v1/events",
            "Records of the log that meet the filters, page by page; how many there are; or all from `after` on as server-sent events, the id of each its sequence, resumed by `Last-Event-ID`.",
            &[
                may(
                    "follow",
                    "As server-sent events, for as long as the connection lasts.",
                    "false",
                ),
                may(
                    "count",
                    "Only how many there are: `{\"count\": n}`.",
                    "false",
                ),
                may(
                    "by",
                    "How many of each: `type`, `actor`, `rule`, `repository`, `verdict`, `reason`, ...",
                    "actor",
                ),
            ],
            Schema::OneOf(&["Page", "Count", "Groups"]),
        ),
    ),
    told(
        "/v1/events",
        "Records events: one, or a batch, as CloudEvents in structured or binary mode. What only Weir concludes is refused.",
        &[],
        Some((EVENT, Schema::OneOrList("Event"))),
        200,
        Schema::One("Accepted"),
    ),
    asked(
        "/v1/repositories",
        "The repositories that have tags, in order; a `Link` header leads to the next page.",
        &[
            may("after", "Only those behind this one.", "dev/shop"),
            LIMIT,
        ],
        Schema::Names,
    ),
    asked(
        "/v1/tags",
        "Tags with what they point at, the images in it, and the verdict under each rule, in order; a `Link` header leads to the next page.",
        &[
            may(
                "repository",
                "Only of repositories that match these patterns.",
                "dev/*",
            ),
            AT,
            may("after", "Only those behind this one.", "dev/shop:1.4.0"),
            LIMIT,
        ],
        Schema::List("TagView"),
    ),
    asked(
        "/v1/show",
        "A tag as `/v1/tags` has it; without `tag` all of the repository, as a list.",
        &[REPOSITORY, may("tag", "The tag.", "1.4.0"), AT],
        Schema::OneOrList("TagView"),
    ),
    asked(
        "/v1/why",
        "Why a tag is or is not promoted, under each rule that takes it: every obstacle, the values that decided, and what would make it pass.",
        &[REPOSITORY, TAG, RULE, AT],
        Schema::List("Explanation"),
    ),
    asked(
        "/v1/eval",
        "The value of a CEL expression on what a rule reads of a tag.",
        &[
            must("expression", "The expression.", "scan.critical == 0"),
            REPOSITORY,
            TAG,
            RULE,
            AT,
        ],
        Schema::One("Value"),
    ),
    asked(
        "/v1/history",
        "The life of a tag: pushed, scanned, blocked, overridden, promoted.",
        &[REPOSITORY, TAG, AT],
        Schema::One("History"),
    ),
    asked(
        "/v1/lineage",
        "What stands behind a digest: pushes, scans, overrides, approvals, rules, promotions.",
        &[
            must(
                "digest",
                "The digest, or its first eight digits or more.",
                "sha256:0a1b2c3d",
            ),
            AT,
        ],
        Schema::One("Lineage"),
    ),
    asked(
        "/v1/impact",
        "Which tags hold a vulnerability, and through which images.",
        &[must("vulnerability", "Its name.", "CVE-2099-0001"), AT],
        Schema::List("Impact"),
    ),
    asked(
        "/v1/overrides",
        "Overrides that were granted and not revoked.",
        &[
            may("expiring", "Only those that end within this time.", "14d"),
            AT,
        ],
        Schema::List("Override"),
    ),
    filtered(
        OF_DECISIONS,
        asked(
            "/v1/decisions",
            "Decisions that meet the filters, page by page.",
            &[],
            Schema::One("Page"),
        ),
    ),
    asked(
        "/v1/promotions",
        "Promotions decided, running or given up.",
        &[
            may(
                "repository",
                "Only from or to repositories that match this pattern. As all of these it may come more than once: any value may be met.",
                "dev/*",
            ),
            may("tag", "Only from or to this tag.", "1.4.0"),
            DIGEST,
            RULE,
        ],
        Schema::List("PromotionView"),
    ),
    asked(
        "/v1/rules",
        "The rules in force, and why a newer set was refused.",
        &[],
        Schema::One("RulesInForce"),
    ),
    asked(
        "/v1/status",
        "How the engine is: log, rules, stream, lease, what is open.",
        &[],
        Schema::One("Status"),
    ),
    told(
        "/v1/reconcile",
        "Compares the registries with the log.",
        &[may("confirm", "Record the differences as events.", "false")],
        None,
        200,
        Schema::One("Reconciled"),
    ),
    told(
        "/v1/backtests",
        "Starts a comparison of what other rules would have decided on the log.",
        &[],
        Some((JSON, Schema::One("BacktestQuestion"))),
        202,
        Schema::One("Backtest"),
    ),
    asked(
        "/v1/backtests/{id}",
        "How far a backtest is, or what it came to.",
        &[],
        Schema::One("Backtest"),
    ),
    Operation {
        method: "delete",
        path: "/v1/backtests/{id}",
        summary: "Ends a backtest and forgets it.",
        parameters: &[],
        filters: &[],
        body: None,
        status: 204,
        answer: None,
    },
    told(
        "/v1/intake",
        "Takes a registry's or scanner's delivery, recognised by its content. The answer says that it is durable, nothing else.",
        &[SOURCE],
        Some(("*/*", Schema::Any)),
        202,
        Schema::One("Accepted"),
    ),
    told(
        "/v1/intake/{adapter}",
        "Takes a delivery in the form of this adapter.",
        &[SOURCE],
        Some(("*/*", Schema::Any)),
        202,
        Schema::One("Accepted"),
    ),
    Operation {
        method: "options",
        path: "/v1/intake",
        summary: "Tells a sender of CloudEvents that it is welcome.",
        parameters: &[],
        filters: &[],
        body: None,
        status: 200,
        answer: None,
    },
    Operation {
        method: "options",
        path: "/v1/intake/{adapter}",
        summary: "Tells a sender of CloudEvents that it is welcome.",
        parameters: &[],
        filters: &[],
        body: None,
        status: 200,
        answer: None,
    },
    asked("/v1/openapi.json", "This description.", &[], Schema::Any),
    asked("/healthz", "The process answers.", &[], Schema::Any),
    asked("/readyz", "The engine serves.", &[], Schema::Any),
    Operation {
        answer: Some(("text/plain", Schema::Text)),
        ..asked(
            "/metrics",
            "Counters in Prometheus text form.",
            &[],
            Schema::Text,
        )
    },
];

/// The filters of events, for description: the names are those of `EventFilter::names`. The first
/// asks for the type.
const FILTERS: [Parameter; 20] = [
    may(
        "type",
        "Only of this type: with or without `weir.`, `*` for any part. As all filters by words it may come more than once: any value may be met.",
        "decision.made",
    ),
    may(
        "repository",
        "Only about repositories that match this pattern, as subject, source or target.",
        "dev/*",
    ),
    may("tag", "Only about this tag.", "1.4.0"),
    DIGEST,
    may(
        "app",
        "Only about this application, as `repository:tag` or digest, and what is in it.",
        "dev/shop:1.4.0",
    ),
    may("actor", "Only by this actor.", "ci"),
    RULE,
    may(
        "vulnerability",
        "Only about this vulnerability.",
        "CVE-2099-0001",
    ),
    may("verdict", "Only decisions with this verdict.", "block"),
    may("reason", "Only with this reason code.", "scan-missing"),
    may(
        "override",
        "Only about this override, or decided with it.",
        "ovr-1",
    ),
    may("hold", "Only about this hold, or held by it.", "freeze"),
    may("after", "Only records after this sequence.", "0"),
    may("before", "Only records before this sequence.", "1000"),
    may(
        "cursor",
        "Goes on where the page ended whose `next` this is, under the same filters.",
        "",
    ),
    may("order", "`oldest` (default) or `newest` first.", "newest"),
    may(
        "limit",
        "Records in a page: 1 to 1000, 100 if not given.",
        "100",
    ),
    may(
        "since",
        "Only from this time on: RFC 3339, a date, or an age as `7d`.",
        "7d",
    ),
    may("until", "Only before this time.", "2026-08-21"),
    may(
        "where",
        "Only where this CEL expression over the event holds.",
        "event.data.actor == 'ci'",
    ),
];

/// The filters of decisions, whose type is no question.
const OF_DECISIONS: &[Parameter] = FILTERS.split_at(1).1;

/// The description, as it is served.
pub(super) async fn openapi() -> Json<Value> {
    Json(description())
}

fn description() -> Value {
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Weir",
            "summary": "Promotion and policy engine for container registries.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        // Listening on loopback may do without.
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`http.token`; for deliveries `http.intake_token` too, or the source's own proof."},
            },
            "schemas": schemas::schemas(),
            "responses": {
                "Problem": {
                    "description": "What went wrong, and what to do (RFC 9457).",
                    "content": {"application/problem+json": {"schema": schema(Schema::One("Problem"))}},
                },
            },
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let parameters = operation.parameters.iter().chain(operation.filters);
    let mut parameters: Vec<Value> = parameters
        .map(|parameter| {
            let mut described = json!({
                "name": parameter.name,
                "in": "query",
                "required": parameter.required,
                "description": parameter.about,
                "schema": {"type": "string"},
            });
            if !parameter.example.is_empty() {
                described["example"] = parameter.example.into();
            }
            described
        })
        .collect();
    for name in ["adapter", "id"] {
        if operation.path.contains(&format!("{{{name}}}")) {
            parameters.push(
                json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}),
            );
        }
    }
    let mut success = json!({"description": "Done."});
    if let Some((media_type, answer)) = operation.answer {
        success["content"] = json!({ media_type: {"schema": schema(answer)} });
    }
    if operation.parameters.iter().any(|one| one.name == "follow") {
        success["content"]["text/event-stream"] = json!({
            "schema": {"type": "string", "description": "With `follow=true`: events whose `id` is a sequence and whose `data` is a `Record`."},
        });
    }
    let status = operation.status.to_string();
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            status: success,
            "default": {"$ref": "#/components/responses/Problem"},
        },
    });
    if let Some((media_type, body)) = operation.body {
        let forms = match media_type {
            // Told apart by what they are, whatever they are called.
            EVENT => &[EVENT, EVENTS, JSON][..],
            _ => &[media_type],
        };
        let content = forms
            .iter()
            .map(|form| ((*form).to_owned(), json!({"schema": schema(body)})));
        let content: Map<String, Value> = content.collect();
        described["requestBody"] = json!({"required": true, "content": content});
    }
    described
}

/// As programs that make clients call it: `get_events`, `post_intake_adapter`.
fn operation_id(operation: &Operation) -> String {
    let path = operation.path.trim_start_matches("/v1");
    let words = path.split(|byte: char| !byte.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!("{}_{}", operation.method, words.join("_"))
}

fn schema(of: Schema) -> Value {
    let one = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let list = |name: &str| json!({"type": "array", "items": one(name)});
    match of {
        Schema::Text => json!({"type": "string"}),
        Schema::Any => json!({}),
        Schema::Names => json!({"type": "array", "items": {"type": "string"}}),
        Schema::One(name) => one(name),
        Schema::List(name) => list(name),
        Schema::OneOrList(name) => json!({"oneOf": [one(name), list(name)]}),
        Schema::OneOf(names) => {
            json!({"oneOf": names.iter().map(|name| one(name)).collect::<Vec<_>>()})
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        http::{LARGEST_PAGE, promotions},
        query::{EventFilter, PAGE},
    };

    #[test]
    fn every_filter_is_described() {
        let described: BTreeSet<&str> = FILTERS.iter().map(|filter| filter.name).collect();
        assert_eq!(described, EventFilter::names().collect());
    }

    /// The parameters of a question, as they are described.
    fn described(path: &str) -> BTreeSet<String> {
        let parameters = description()["paths"][path]["get"]["parameters"].take();
        let parameters = parameters.as_array().expect("they are a list").iter();
        let names = parameters.map(|one| one["name"].as_str().expect("it has a name").to_owned());
        names.collect()
    }

    #[test]
    fn what_promotions_and_decisions_do_not_take_is_not_described() {
        let read = described("/v1/promotions")
            .into_iter()
            .map(|name| (name, String::new()));
        let filter = promotions::filter(read.collect());
        assert_eq!(
            filter.map(|filter| filter.parameters().count()).ok(),
            Some(4)
        );
        let mut decisions: BTreeSet<String> = EventFilter::names().map(str::to_owned).collect();
        assert!(decisions.remove("type"));
        assert_eq!(described("/v1/decisions"), decisions);
    }

    #[test]
    fn every_form_in_which_events_are_answered_is_described() {
        let answer = &description()["paths"]["/v1/events"]["get"]["responses"]["200"]["content"];
        assert_eq!(answer["text/event-stream"]["schema"]["type"], "string");
        let forms = answer[JSON]["schema"]["oneOf"].to_string();
        for form in ["Page", "Count", "Groups"] {
            assert!(forms.contains(&format!("/{form}\"")), "{forms}");
        }
    }

    #[test]
    fn the_sizes_of_pages_are_as_they_are_described() {
        let check = |path: &str, unless_given: usize| {
            let parameters = &description()["paths"][path]["get"]["parameters"];
            let mut parameters = parameters.as_array().expect("they are a list").iter();
            let limit = parameters.find(|one| one["name"] == "limit");
            let told = limit.expect("it has a limit")["description"].to_string();
            let sizes = format!("1 to {LARGEST_PAGE}, {unless_given} if not given");
            assert!(told.contains(&sizes), "{path}: {told}");
        };
        check("/v1/events", PAGE);
        check("/v1/decisions", PAGE);
        check("/v1/tags", LARGEST_PAGE);
        check("/v1/repositories", LARGEST_PAGE);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_name_is_one() {
        let description = description();
        let text = description.to_string();
        let references: BTreeSet<&str> = text
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(references.len() > 20);
        for reference in references {
            assert!(description.pointer(reference).is_some(), "{reference}");
        }
        let ids: BTreeSet<String> = OPERATIONS.iter().map(operation_id).collect();
        assert_eq!(ids.len(), OPERATIONS.len());
    }
}
