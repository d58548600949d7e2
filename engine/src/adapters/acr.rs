//! Azure Container Registry: its own webhooks, which are one bare event of distribution's form, and
//! the same through Event Grid (its own schema and CloudEvents).
//!
//! With quarantine on, `push` comes only when a scanner has passed the image; `quarantine` itself is
//! a push that nobody may pull yet. A deletion of a tag alone is not told.

use serde_json::Value;

use super::context::Context;
use super::field::Field;
use super::problem::Problem;
use super::{Decoded, clip, cloudevents, distribution, json};

/// Decodes one event.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    if context.header("ce-type").is_some() || body.get("specversion").is_some() {
        let event = cloudevents::unwrap(context)?;
        let decoded = grid(context, &event.kind, event.id.as_deref(), event.data)?;
        return Ok(vec![decoded]);
    }
    let root = Field::root(&body);
    let decoded = match root.get("eventType").text() {
        Some(kind) => {
            let data = root.get("data");
            let data = match data.text() {
                // The registry's events have been seen with their data as a text.
                Some(text) => {
                    json::value(text.as_bytes()).map_err(|problem| data.problem(problem))?
                }
                None => data.value().clone(),
            };
            grid(context, kind, root.get("id").text(), data)?
        }
        None => notification(context, &body, "")?,
    };
    Ok(vec![decoded])
}

/// An event of Event Grid of type `kind`. Its own identifier is the data's, or else the grid's.
fn grid(
    context: &Context<'_>,
    kind: &str,
    id: Option<&str>,
    mut data: Value,
) -> Result<Decoded, Problem> {
    let action = match kind {
        // Without the publisher before it, as the documentation of the schema had it for years.
        "Microsoft.ContainerRegistry.ImagePushed" | "ImagePushed" => "push",
        "Microsoft.ContainerRegistry.ImageDeleted" | "ImageDeleted" => "delete",
        "Microsoft.EventGrid.SubscriptionValidationEvent" => {
            return Ok(context.ignored(
                "Event Grid validates the subscription: answer it with its `validationCode`",
            ));
        }
        other if other.starts_with("Microsoft.") || other.starts_with("Chart") => {
            let reason = format!("Event Grid's `{}` changes nothing", clip(other));
            return Ok(context.ignored(reason));
        }
        other => {
            return Err(Problem::meaning(format!(
                "`{}` is no event of Azure's Event Grid",
                clip(other)
            )));
        }
    };
    let Some(object) = data.as_object_mut() else {
        return Err(Problem::Missing {
            path: "data".into(),
        });
    };
    object.entry("action").or_insert_with(|| action.into());
    if let Some(id) = id {
        object.entry("id").or_insert_with(|| id.into());
    }
    notification(context, &data, "data.")
}

fn notification(context: &Context<'_>, body: &Value, place: &str) -> Result<Decoded, Problem> {
    match body.get("action").and_then(Value::as_str) {
        Some("quarantine") => Ok(context
            .ignored("the image is in quarantine: it is pushed when a scanner has passed it")),
        Some(action @ ("chart_push" | "chart_delete")) => {
            Ok(context.ignored(format!("`{action}`: a chart, not an image")))
        }
        _ => distribution::event(context, &body.to_string(), place),
    }
}
