//! JFrog Artifactory's webhooks of the domain `docker`.
//!
//! `sha256` is the digest without its prefix; `list.manifest.json` is an index. There is neither
//! identifier nor time. What was pushed by digest has the tag `sha256__HEX`. The repository is
//! `REPO_KEY/IMAGE`: images of one name in the repositories `dev` and `prod` are not the same.

use weir_schema::Digest;

use super::context::{Context, Fill, Push, optional_tag, required_tag};
use super::field::Field;
use super::problem::Problem;
use super::{Decoded, clip, json};

/// Decodes a webhook's body.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let root = Field::root(&body);
    let data = root.get("data");
    let domain = root.get("domain").text().unwrap_or("docker");
    if domain != "docker" {
        let reason = format!(
            "the domain `{}` has no images: subscribe to the domain `docker`",
            clip(domain)
        );
        return Ok(vec![context.ignored(reason)]);
    }
    let name = data.get("image_name");
    let image = image(name.required()?, data.get("path").text());
    let path = match data.get("repo_key").text() {
        Some(key) => format!("{key}/{image}"),
        None => image.to_owned(),
    };
    let repository = context
        .own_repository_named(&path)
        .map_err(|error| name.problem(error))?;
    let actor = match root.get("userContext").get("id").text() {
        None => root
            .get("source")
            .text()
            .and_then(|text| text.strip_prefix("jfrog/")),
        id => id,
    };
    let actor = actor.and_then(user).map(str::to_owned);
    let tag = data.get("tag");
    let by_digest = tag.text().and_then(folder_digest);
    let event = match (root.get("event_type").required()?, by_digest) {
        ("pushed", by_digest) => {
            let push = Push {
                repository,
                tag: if by_digest.is_some() {
                    None
                } else {
                    optional_tag(&tag)?
                },
                digest: digest(&data.get("sha256"))?.or(by_digest),
                media_type: None,
                registry: host(&root.get("jpd_origin")),
                fill: Fill {
                    size: data.get("size").value().as_u64(),
                    actor,
                    ..Fill::default()
                },
            };
            context.push(None, None, push)
        }
        // It does not say which of the two repositories it names: the registry knows.
        ("promoted", _) => {
            let push = Push {
                repository,
                tag: Some(required_tag(&tag)?),
                digest: None,
                media_type: None,
                registry: host(&root.get("jpd_origin")),
                fill: Fill {
                    actor,
                    ..Fill::default()
                },
            };
            context.push(None, None, push)
        }
        ("deleted", Some(digest)) => {
            let body = weir_schema::Body::ManifestDeleted(weir_schema::ManifestDeleted {
                repository,
                digest,
                actor,
            });
            context.event(None, None, body)
        }
        ("deleted", None) => {
            context.tag_deleted(None, None, repository, required_tag(&tag)?, actor)
        }
        (other, _) => context.ignored(format!("Artifactory's `{}` changes nothing", clip(other))),
    };
    Ok(vec![event])
}

/// The user that a text names: the subject of a token names one below a service, `jffe@ID/users/NAME`;
/// a service alone, as `jfrt@ID`, is nobody.
fn user(text: &str) -> Option<&str> {
    let name = text.rsplit_once("/users/").map_or(text, |(_, name)| name);
    let is_service = |(service, id): (&str, &str)| {
        service.starts_with("jf")
            && id.len() == SERVICE_ID_DIGITS
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let is_nobody = name.is_empty() || name.split_once('@').is_some_and(is_service);
    (!is_nobody).then_some(name)
}

/// JFrog's services are numbered by ULIDs.
const SERVICE_ID_DIGITS: usize = 26;

/// The image's whole name: `image_name` may be its last part alone, and the path `NAME/TAG/FILE` has
/// the folders before it.
fn image<'a>(name: &'a str, path: Option<&'a str>) -> &'a str {
    let folder = path.and_then(|path| path.trim_start_matches('/').rsplit_once('/'));
    let whole = folder.and_then(|(folder, _)| folder.rsplit_once('/'));
    let whole = whole.map(|(whole, _)| whole).filter(|whole| {
        whole
            .strip_suffix(name)
            .is_some_and(|before| before.ends_with('/'))
    });
    whole.unwrap_or(name)
}

/// The digest that Artifactory names a folder by: `sha256__HEX`.
fn folder_digest(tag: &str) -> Option<Digest> {
    tag.replacen("__", ":", 1).parse().ok()
}

fn digest(field: &Field<'_>) -> Result<Option<Digest>, Problem> {
    if field.is_absent() {
        return Ok(None);
    }
    let hex = field.required()?;
    let text = if hex.starts_with("sha256:") {
        hex.to_owned()
    } else {
        format!("sha256:{hex}")
    };
    text.parse().map(Some).map_err(|error| field.problem(error))
}

fn host(origin: &Field<'_>) -> Option<String> {
    let url = origin.text()?;
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    host.split('/')
        .next()
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
}
