//! Events that lack something which only a registry, or the state, can tell.

use serde_json::{Map, Value, json};
use weir_schema::{
    Body, Digest, Event, InputRejected, Platform, Received, RepositoryName, Tag, Timestamp,
    canonical,
};

use super::{ASSUMED, Decoded, OVERTAKEN_TAG, REPORTED_DIGEST, RESOLVED};

/// An event that waits for a fact. The one that can find it calls [`Pending::with_digest`], or
/// [`Pending::rejected`] if it cannot be found; nothing is guessed in between.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    need: Need,
    event: Event,
    extra: Map<String, Value>,
    /// Whether the event's identifier was made of its content.
    keyed: bool,
    rejection: InputRejected,
}

/// What an event lacks.
#[derive(Debug, Clone, PartialEq)]
pub enum Need {
    /// The digest: the source names a tag.
    Digest {
        /// Where the tag is.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
        /// The registry's host, if the payload tells it and `repository` does not.
        registry: Option<String>,
        /// For scans: when the scanner looked. The tag may have moved since: bind the scan to the
        /// digest that the tag had then, if it is known.
        scanned_at: Option<Timestamp>,
    },
    /// The media type: the source gives the digest and does not say whether it is an index.
    MediaType {
        /// Where the manifest is.
        repository: RepositoryName,
        /// The manifest.
        digest: Digest,
    },
    /// The leaf that a report is about, known by the digest of its configuration.
    ///
    /// A candidate that is known to be an image manifest with that configuration is the leaf; if it
    /// is an index, the leaf is its descendant with that configuration. Without a candidate it is
    /// what one of the tags points at, or holds, if that has the configuration, or the only known
    /// manifest that has it.
    Leaf(Named),
}

/// What a report says of the image that it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// What scanners report as `ImageID`. Docker's containerd image store gives them the digest of the
    /// index there, where the image came in one.
    pub config_digest: Digest,
    /// The platform of what was scanned.
    pub platform: Option<Platform>,
    /// Digests that the report names, the likeliest first. Each may be an index's.
    pub candidates: Vec<Digest>,
    /// Repositories that the report names.
    pub repositories: Vec<RepositoryName>,
    /// Repositories and tags that the report names.
    pub tags: Vec<(RepositoryName, Tag)>,
    /// The digest that the report itself offers as what was scanned, if it offers just one.
    pub claimed: Option<Digest>,
}

/// Stands where a digest will be. INVARIANT: no event leaves a [`Pending`] with it.
pub(super) const UNRESOLVED: Digest = Digest::Sha256([0; 32]);

/// What a media type is that nobody has told (RFC 2046, section 4.5.1). It says of a manifest
/// neither that it is an index nor that it is none.
pub const UNKNOWN_MEDIA_TYPE: &str = "application/octet-stream";

/// What has to be configured so that a registry is asked about a repository.
#[must_use]
pub fn registry_for(repository: &RepositoryName) -> String {
    match repository.registry() {
        Some(host) => format!("a table [registries.\"{host}\"]"),
        None => "a table [registries.\"HOST\"], and that the source is of that registry: `registry = \"HOST\"` in [sources.NAME.settings], or `default_registry`".to_owned(),
    }
}

impl Pending {
    /// An event that lacks `need`; `rejection` is what becomes of it if that is never found.
    pub(super) fn new(
        need: Need,
        event: Event,
        extra: Map<String, Value>,
        keyed: bool,
        rejection: InputRejected,
    ) -> Self {
        Self {
            need,
            event,
            extra,
            keyed,
            rejection,
        }
    }

    /// What is lacking.
    #[must_use]
    pub fn need(&self) -> &Need {
        &self.need
    }

    /// The event's type, for logs and metrics.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.event.body.kind()
    }

    /// The tag that a push put on something, and where its registry is to be asked for it.
    #[must_use]
    pub fn tagged(&self) -> Option<(RepositoryName, Tag)> {
        let Body::ImagePushed(push) = &self.event.body else {
            return None;
        };
        let repository = match &self.need {
            Need::Digest {
                registry: Some(registry),
                ..
            } => push.repository.in_registry(registry).ok(),
            _ => None,
        };
        let repository = repository.unwrap_or_else(|| push.repository.clone());
        Some((repository, push.tag.clone()?))
    }

    /// What a daemon asks a registry for, and where it asks. Reports that name a configuration are bound
    /// by what is known, too.
    #[must_use]
    pub fn lookup(&self) -> Option<(&'static str, RepositoryName)> {
        let (what, repository) = match &self.need {
            Need::Digest { repository, .. } => ("digest", repository),
            Need::MediaType { repository, .. } => ("media type", repository),
            Need::Leaf(_) => return None,
        };
        let tagged = self.tagged().map(|(repository, _)| repository);
        Some((what, tagged.unwrap_or_else(|| repository.clone())))
    }

    /// The same, but of a push whose tag its registry has at another manifest by now: what was pushed
    /// is there, and where the tag is the push says that put it there. The data keep the tag that was
    /// told in `overtaken_tag`.
    #[must_use]
    pub fn overtaken(mut self) -> Self {
        if let Body::ImagePushed(push) = &mut self.event.body
            && let Some(tag) = push.tag.take()
        {
            self.extra
                .insert(OVERTAKEN_TAG.into(), tag.to_string().into());
        }
        self
    }

    /// The event about the manifest `digest` of type `media_type`. Its data say in `resolved` what
    /// did not come from the source.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest, media_type: &str) -> Received {
        let resolved = match &self.need {
            Need::Digest { .. } => {
                // The same words about a tag mean another push when it points elsewhere.
                if self.keyed {
                    self.event.id = format!("{}-{}", self.event.id, digest.short()).into();
                }
                json!(["digest", "media_type"])
            }
            Need::MediaType { .. } => json!(["media_type"]),
            Need::Leaf(named) if named.claimed.as_ref() == Some(&digest) => json!([]),
            Need::Leaf(named) => {
                // The same report was of something else as long as less was known.
                if self.keyed {
                    self.event.id = format!("{}-{}", self.event.id, digest.short()).into();
                }
                if let Some(claimed) = &named.claimed {
                    self.extra
                        .insert(REPORTED_DIGEST.into(), claimed.to_string().into());
                }
                json!(["digest"])
            }
        };
        if resolved.as_array().is_some_and(|fields| !fields.is_empty()) {
            self.extra.insert(RESOLVED.into(), resolved);
        }
        self.bind(digest, media_type)
    }

    /// What can be said without asking anybody: for a dry run, and where no registry is at hand.
    ///
    /// - A tag without a digest proves nothing: rejected.
    /// - A push without a media type is given [`UNKNOWN_MEDIA_TYPE`]; its data say so in `assumed`.
    /// - A report is given to the one digest that it names. If that is an index's, the report
    ///   covers none of its children, so nothing is claimed that was not scanned.
    #[must_use]
    pub fn without_registry(mut self) -> Decoded {
        match self.need.clone() {
            Need::MediaType { digest, .. } => {
                self.extra.insert(ASSUMED.into(), json!(["media_type"]));
                Decoded::Event(Box::new(self.bind(digest, UNKNOWN_MEDIA_TYPE)))
            }
            Need::Leaf(Named {
                claimed: Some(digest),
                ..
            }) => Decoded::Event(Box::new(self.bind(digest, UNKNOWN_MEDIA_TYPE))),
            Need::Digest { .. } | Need::Leaf(Named { claimed: None, .. }) => {
                Decoded::Rejected(self.rejection)
            }
        }
    }

    /// The rejection to record when the fact cannot be found, for the reason `cause`.
    #[must_use]
    pub fn rejected(mut self, cause: &str) -> InputRejected {
        self.rejection.reason = format!("{}: {cause}", self.rejection.reason);
        self.rejection
    }

    fn bind(mut self, digest: Digest, media_type: &str) -> Received {
        match &mut self.event.body {
            Body::ImagePushed(push) => {
                push.digest = digest;
                media_type.clone_into(&mut push.media_type);
            }
            Body::ScanCompleted(scan) => scan.digest = digest,
            Body::ScanFailed(scan) => scan.digest = digest,
            Body::ScanStarted(scan) => scan.digest = digest,
            // No adapter makes any other event pending.
            _ => {}
        }
        received(self.event, self.extra)
    }
}

/// The event with further fields in its data, which are kept and mean nothing to the rules.
pub(super) fn received(event: Event, extra: Map<String, Value>) -> Received {
    if extra.is_empty() {
        return event.into();
    }
    let mut value = event.to_value();
    if let Some(data) = value.get_mut("data").and_then(Value::as_object_mut) {
        for (name, value) in extra {
            data.entry(name).or_insert(value);
        }
    }
    Received {
        json: canonical::of_value(&value),
        event,
    }
}
