//! Quay's notifications: a push names tags, without digest, identifier or time. "Vulnerability
//! found" says that one was found, not that a scan is complete.

use serde_json::Value;

use super::context::{Context, Fill, Push};
use super::field::Field;
use super::problem::Problem;
use super::{Decoded, json, reference};

/// Decodes a notification.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    if !root.get("vulnerability").is_absent() {
        return Ok(vec![context.ignored(
            "a vulnerability was found: that does not say that the scan is complete",
        )]);
    }
    let updated = root.get("updated_tags");
    // A list of tags; in older versions an object from tags to image identifiers.
    let tags: Vec<(String, &str)> = match updated.value() {
        Value::Object(tags) => tags
            .keys()
            .map(|tag| (format!("{}[{tag:?}]", updated.path()), tag.as_str()))
            .collect(),
        Value::Array(_) => updated
            .each()?
            .iter()
            .map(|tag| Ok((tag.path().to_owned(), tag.required()?)))
            .collect::<Result<_, Problem>>()?,
        _ => {
            return Ok(vec![context.ignored(
                "no tag was updated: of Quay's notifications only a push changes anything",
            )]);
        }
    };
    super::at_most(tags.len())?;
    let url = root.get("docker_url");
    let within = url.text().map(reference::split);
    let within = within.and_then(|url| url.name.split_once('/'));
    let registry = within.map(|(host, _)| host.to_owned());
    let named = root.get("repository");
    let repository = match within {
        // Once the URL alone had the name.
        Some((_, name)) if named.is_absent() => context
            .own_repository_named(name)
            .map_err(|error| url.problem(error))?,
        _ => context.own_repository(&named)?,
    };
    let repository = match &registry {
        Some(host) => context.at_home(repository, host),
        None => repository,
    };
    let pushes = tags.into_iter().map(|(path, tag)| {
        let tag = tag.parse().map_err(|error| Problem::field(path, error))?;
        let push = Push {
            repository: repository.clone(),
            tag: Some(tag),
            digest: None,
            media_type: None,
            registry: registry.clone(),
            fill: Fill::default(),
        };
        Ok(context.push(None, None, push))
    });
    let pushes = pushes.map(|push| push.unwrap_or_else(|problem| context.rejected(&problem)));
    Ok(pushes.collect())
}
