//! CNCF distribution's notifications: envelopes of versions 1 and 2, and what copies their form.
//!
//! A push of a manifest is a push; a retag is one too. Blobs, mounts and pulls are not ours, and what
//! a push of a tag lacks is asked for. A delete by digest may be a blob's: it looks the same, and a blob's digest is no manifest that
//! anything binds to, so taking it for a manifest's changes nothing.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use weir_schema::{
    Body, Digest, ImagePushed, ManifestDeleted, Repository, RepositoryName, Tag, Timestamp,
    media_type,
};

use super::Decoded;
use super::context::{Context, Fill, Push};
use super::json;
use super::problem::Problem;
use super::time;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    events: Option<Vec<&'a RawValue>>,
}

/// One event. Fields that are not here mean nothing to us; what it can do without may be of any kind.
#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    action: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    target: Option<Target<'a>>,
    #[serde(borrow, default)]
    actor: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target<'a> {
    #[serde(borrow, default)]
    media_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    size: Option<&'a RawValue>,
    #[serde(borrow, default)]
    digest: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    repository: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tag: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    artifact_type: Option<&'a RawValue>,
}

impl Target<'_> {
    fn names_repository_alone(&self) -> bool {
        present(&self.media_type).is_none()
            && text(self.url).is_none()
            && loose::<u64>(self.size).unwrap_or(0) == 0
    }
}

#[derive(Deserialize)]
struct Actor<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

/// A value as a `T`, if it is one.
fn loose<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

/// A value as a text, if it is one and not empty.
fn text(value: Option<&RawValue>) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let Text(text) = loose(value)?;
    (!text.is_empty()).then_some(text)
}

/// Decodes an envelope: one event of it that cannot be read does not take the others with it.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let envelope: Envelope<'_> = json::parse(context.body())?;
    let events = envelope.events.ok_or_else(|| Problem::Missing {
        path: "events".into(),
    })?;
    if events.is_empty() {
        return Ok(vec![context.ignored("an envelope without events")]);
    }
    super::at_most(events.len())?;
    let decoded = events.iter().enumerate().map(|(index, event)| {
        self::event(context, event.get(), &format!("events[{index}]."))
            .unwrap_or_else(|problem| context.rejected(&problem))
    });
    Ok(decoded.collect())
}

/// Decodes one event, which stands at `place` (with the dot after it) in the payload.
pub(super) fn event(context: &Context<'_>, event: &str, place: &str) -> Result<Decoded, Problem> {
    let notification: Notification<'_> = serde_json::from_str(event)
        .map_err(|error| Problem::Meaning(format!("`{place}`: {error}").replace(".`", "`")))?;
    let action = present(&notification.action).ok_or_else(|| missing(place, "action"))?;
    if action == "rename" {
        return Ok(context.untold("a repository was renamed: what it holds has other names now"));
    }
    if !matches!(action, "push" | "delete") {
        return Ok(context.ignored(format!(
            "the action `{}` changes nothing",
            super::clip(action)
        )));
    }
    let target = notification
        .target
        .as_ref()
        .ok_or_else(|| missing(place, "target"))?;
    if action == "push" && is_blob(target) {
        return Ok(context.ignored("a blob, not a manifest"));
    }

    let about = About::read(context, &notification, target, place)?;
    match action {
        "delete" => deleted(context, target, place, about),
        _ => pushed(context, target, place, about),
    }
}

/// What an event is about, who did it and when.
struct About<'a> {
    id: Option<Cow<'a, str>>,
    time: Option<Timestamp>,
    repository: RepositoryName,
    tag: Option<Tag>,
    digest: Option<Digest>,
    actor: Option<String>,
}

impl<'a> About<'a> {
    fn read(
        context: &Context<'_>,
        notification: &Notification<'a>,
        target: &Target<'_>,
        place: &str,
    ) -> Result<Self, Problem> {
        let path = |field: &str| format!("{place}{field}");
        let repository =
            present(&target.repository).ok_or_else(|| missing(place, "target.repository"))?;
        let repository: RepositoryName = context
            .own_repository_named(repository)
            .map_err(|error| Problem::field(path("target.repository"), error))?;
        let digest = present(&target.digest)
            .map(str::parse::<Digest>)
            .transpose()
            .map_err(|error| Problem::field(path("target.digest"), error))?;
        // Where there is no tag, some copies of this form put the digest in its place.
        let (tag, digest) = match present(&target.tag) {
            None => (None, digest),
            Some(said) => match said.parse::<Digest>() {
                Ok(same) => (None, digest.or(Some(same))),
                Err(_) => {
                    let tag = said.parse::<Tag>();
                    let tag = tag.map_err(|error| Problem::field(path("target.tag"), error))?;
                    (Some(tag), digest)
                }
            },
        };
        let actor: Option<Actor<'_>> = loose(notification.actor);
        let actor = actor
            .and_then(|actor| actor.name)
            .filter(|name| !name.is_empty());
        Ok(Self {
            id: text(notification.id),
            time: notification.timestamp.and_then(moment),
            repository,
            tag,
            digest,
            actor: actor.map(Cow::into_owned),
        })
    }
}

/// A time, in either of the forms that this one is found in.
fn moment(time: &RawValue) -> Option<Timestamp> {
    match text(Some(time)) {
        Some(text) => time::from_text(&text),
        None => time::from_json(&loose(Some(time))?),
    }
}

fn deleted(
    context: &Context<'_>,
    target: &Target<'_>,
    place: &str,
    about: About<'_>,
) -> Result<Decoded, Problem> {
    let (id, time) = (about.id.as_deref(), about.time);
    let (repository, actor) = (about.repository, about.actor);
    let body = match (about.digest, about.tag) {
        (Some(digest), _) => Body::ManifestDeleted(ManifestDeleted {
            repository,
            digest,
            actor,
        }),
        (None, Some(tag)) => return Ok(context.tag_deleted(id, time, repository, tag, actor)),
        // distribution's `RepoDeleted`: the target has nothing but the repository.
        (None, None) if target.names_repository_alone() => {
            Body::RepositoryDeleted(Repository { repository, actor })
        }
        (None, None) => return Err(missing(place, "target.digest")),
    };
    Ok(context.event(id, time, body))
}

fn pushed(
    context: &Context<'_>,
    target: &Target<'_>,
    place: &str,
    about: About<'_>,
) -> Result<Decoded, Problem> {
    let About {
        id,
        time,
        repository,
        tag,
        digest,
        actor,
    } = about;
    let id = id.as_deref();
    let size = loose(target.size);
    let artifact_type = text(target.artifact_type).map(Cow::into_owned);
    let media_type = present(&target.media_type).filter(|kind| !media_type::is_general(kind));
    let (Some(digest), Some(media_type)) = (&digest, media_type) else {
        // What has a tag or a manifest's URL is a manifest; what it lacks can be asked for.
        let url = text(target.url).unwrap_or_default();
        if tag.is_none() && (digest.is_none() || !is_of("manifests", &url)) {
            return Err(missing(
                place,
                match digest {
                    None => "target.digest",
                    Some(_) => "target.mediaType",
                },
            ));
        }
        let push = Push {
            repository,
            tag,
            digest,
            media_type: media_type.map(str::to_owned),
            registry: None,
            fill: Fill {
                size,
                artifact_type,
                platform: None,
                actor,
            },
        };
        return Ok(context.push(id, time, push));
    };
    let body = Body::ImagePushed(ImagePushed {
        repository,
        digest: digest.clone(),
        media_type: media_type.to_owned(),
        tag,
        size,
        artifact_type,
        annotations: None,
        platform: None,
        // `references` lists the children without their annotations, so it does not tell an
        // application's configuration from its images: the manifest itself is read instead.
        manifests: None,
        actor,
        found_at_registry: false,
    });
    Ok(context.event(id, time, body))
}

fn missing(place: &str, field: &str) -> Problem {
    Problem::Missing {
        path: format!("{place}{field}"),
    }
}

fn present<'b>(text: &'b Option<Cow<'_, str>>) -> Option<&'b str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Whether a push is of a blob. A blob's URL tells for certain, a tag is never a blob's; then the media
/// type does, and where that says nothing the URL again.
fn is_blob(target: &Target<'_>) -> bool {
    let url = text(target.url).unwrap_or_default();
    let kind = present(&target.media_type).unwrap_or_default();
    if is_of("blobs", &url) {
        return true;
    }
    let says_nothing = media_type::is_general(kind);
    if present(&target.tag).is_some() || says_nothing && is_of("manifests", &url) {
        return false;
    }
    !kind.is_empty() && !kind.contains("manifest") && !media_type::is_index(kind)
}

/// Whether a URL is that of one of the `blobs`, or `manifests`, of a repository: what comes before it
/// may be named so as well (distribution specification, section "Endpoints").
fn is_of(kind: &str, url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/').rsplit('/').nth(1) == Some(kind)
}
