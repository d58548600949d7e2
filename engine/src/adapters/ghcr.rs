//! GitHub's container registry: `package` and `registry_package` webhooks.
//!
//! `package_type` may say anything; what has `container_metadata` is a container, and what calls itself one
//! and has none was pushed all the same: refused, so that it is seen. An empty tag name
//! is a push without a tag. GitHub's own example has a digest of 40 digits: refused like any other
//! that is not whole.

use super::context::{Context, Fill, Push, optional_tag};
use super::field::Field;
use super::problem::Problem;
use super::{Decoded, clip, json, reference};

/// Decodes a webhook's body.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    let package = root.first(&["package", "registry_package"]);
    if package.is_absent() {
        return Ok(vec![
            context.ignored("a webhook that is not about a package"),
        ]);
    }
    let version = package.get("package_version");
    let metadata = version.get("container_metadata");
    let action = root.get("action").text().unwrap_or("published");
    let is_push = matches!(action, "published" | "updated" | "create" | "created");
    if metadata.is_absent() && is_push && calls_itself_container(&package) {
        return Err(metadata.problem(
            "a container was pushed, and its tag and digest are told here alone: `weir reconcile` asks the registry for them",
        ));
    }
    if metadata.is_absent() {
        return Ok(vec![context.ignored("a package that is not a container")]);
    }
    if !is_push {
        let reason = format!("the action `{}` changes nothing", clip(action));
        return Ok(vec![context.ignored(reason)]);
    }
    let tag = metadata.get("tag");
    let manifest = metadata.get("manifest");
    let digest = match tag.get("digest").optional_digest()? {
        Some(digest) => Some(digest),
        None => match manifest.get("digest").optional_digest()? {
            Some(digest) => Some(digest),
            // The name of a container's version is its digest.
            None => version.first(&["version", "name"]).optional_digest()?,
        },
    };
    let push = Push {
        repository: repository(context, &package, &version)?,
        tag: optional_tag(&tag.get("name"))?,
        digest,
        media_type: manifest.get("media_type").string(),
        registry: None,
        fill: Fill {
            size: manifest.get("size").value().as_u64(),
            actor: root.get("sender").get("login").string(),
            ..Fill::default()
        },
    };
    let time = ["updated_at", "created_at"];
    let time = version
        .first(&time)
        .time()
        .or_else(|| package.first(&time).time());
    Ok(vec![context.push(
        context.header("x-github-delivery"),
        time,
        push,
    )])
}

fn calls_itself_container(package: &Field<'_>) -> bool {
    ["package_type", "ecosystem"].into_iter().any(|name| {
        let said = package.get(name);
        said.text()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("container"))
    })
}

/// `ghcr.io/OWNER/NAME`: from the package's URL, whose owner may have capitals where the registry
/// has none.
fn repository(
    context: &Context<'_>,
    package: &Field<'_>,
    version: &Field<'_>,
) -> Result<weir_schema::RepositoryName, Problem> {
    let url = version.get("package_url");
    let (field, name) = match url.text() {
        Some(text) => (url, reference::split(text).name.to_lowercase()),
        None => {
            let name = package.get("name");
            let login = package.get("owner").get("login");
            let owner = match login.is_absent() {
                true => package.get("namespace"),
                false => login.clone(),
            };
            let owner = owner.text().ok_or_else(|| login.missing())?.to_lowercase();
            let path = format!("ghcr.io/{owner}/{}", name.required()?.to_lowercase());
            (name, path)
        }
    };
    let name = name.trim_start_matches("https://");
    context
        .repository_named(name)
        .map_err(|error| field.problem(error))
}
