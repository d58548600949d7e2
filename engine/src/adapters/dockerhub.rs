//! Docker Hub's webhook: a tag, without digest or identifier, and a time that may be a float. Alibaba's
//! registry has copied the form: there is a digest, and `repo_full_name` for the name.

use super::context::{Context, Fill, Push, optional_tag, required_tag};
use super::field::Field;
use super::problem::Problem;
use super::{Decoded, json};

/// Decodes a webhook's body.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    let pushed = root.get("push_data");
    let repository = root.get("repository");
    let alibaba = repository.get("repo_full_name");
    if repository.get("repo_name").is_absent() && !alibaba.is_absent() {
        let push = Push {
            repository: context.repository(&alibaba)?,
            tag: optional_tag(&pushed.get("tag"))?,
            digest: pushed.get("digest").optional_digest()?,
            media_type: None,
            registry: None,
            fill: Fill::default(),
        };
        // Its time is the region's, and it does not say so.
        return Ok(vec![context.push(None, None, push)]);
    }
    let whole = repository.get("repo_name");
    let name = if whole.text().is_some() {
        context.repository(&whole)?
    } else {
        let name = repository.get("name");
        let namespace = repository.first(&["namespace", "owner"]).required()?;
        let path = format!("{namespace}/{}", name.required()?);
        context
            .repository_named(&path)
            .map_err(|error| name.problem(error))?
    };
    let push = Push {
        repository: context.at_home(name, "docker.io"),
        tag: Some(required_tag(&pushed.get("tag"))?),
        digest: None,
        media_type: None,
        registry: Some("docker.io".into()),
        fill: Fill {
            actor: pushed.get("pusher").string(),
            ..Fill::default()
        },
    };
    Ok(vec![context.push(
        None,
        pushed.get("pushed_at").time(),
        push,
    )])
}
