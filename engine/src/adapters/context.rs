//! What an adapter has at hand while it decodes one delivery: the payload, names, and the making of
//! events with stable identifiers.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Map, Value};
use weir_schema::{
    Body, Digest, Event, ImagePushed, InputRejected, Received, RepositoryName, Tag, TagDeleted,
    Timestamp, canonical, media_type,
};

use super::excerpt::excerpt;
use super::field::Field;
use super::pending::{Need, Pending, UNRESOLVED, received};
use super::problem::Problem;
use super::{AdapterSettings, Decoded, Delivery, Origin, SUBJECT_HEADER};

/// One delivery, as an adapter sees it.
pub(super) struct Context<'a> {
    delivery: &'a Delivery<'a>,
    /// The adapter at work.
    adapter: &'static str,
    origin: Origin,
    body_digest: OnceCell<Digest>,
}

impl<'a> Context<'a> {
    pub(super) fn new(delivery: &'a Delivery<'a>, adapter: &'static str, origin: Origin) -> Self {
        Self {
            delivery,
            adapter,
            origin,
            body_digest: OnceCell::new(),
        }
    }

    /// The digest of the body. Hashed once: a body of many events may reject each of them.
    pub(super) fn body_digest(&self) -> Digest {
        let digest = self.body_digest.get_or_init(|| Digest::of(self.body()));
        digest.clone()
    }

    /// The body as it came.
    pub(super) fn body(&self) -> &'a [u8] {
        self.delivery.body
    }

    pub(super) fn settings(&self) -> &'a AdapterSettings {
        self.delivery.settings
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        super::header(self.delivery.headers, name)
    }

    /// The CloudEvents `source` of the events of this delivery: `/registries/NAME`,
    /// `/scanners/NAME` or `/intake/NAME`, by the name that the configuration gives the source.
    fn source(&self) -> String {
        let name = match self.delivery.source {
            "" => self.adapter,
            name => name,
        };
        let group = match self.origin {
            Origin::Registry => "registries",
            Origin::Scanner => "scanners",
            Origin::Other => "intake",
        };
        format!("/{group}/{name}")
    }

    /// An event. `own` is the identifier that the source gives it and keeps on redelivery.
    pub(super) fn event(&self, own: Option<&str>, time: Option<Timestamp>, body: Body) -> Decoded {
        let event = self.envelope(own, time, body, &Map::new());
        Decoded::Event(Box::new(Received::from(event)))
    }

    /// An event with further fields in its data, which are kept and mean nothing.
    pub(super) fn event_with(
        &self,
        own: Option<&str>,
        time: Option<Timestamp>,
        body: Body,
        extra: Map<String, Value>,
    ) -> Decoded {
        let event = self.envelope(own, time, body, &extra);
        Decoded::Event(Box::new(received(event, extra)))
    }

    /// An event that lacks `need`.
    pub(super) fn pending(
        &self,
        need: Need,
        own: Option<&str>,
        time: Option<Timestamp>,
        body: Body,
        extra: Map<String, Value>,
    ) -> Decoded {
        let mut meaning = extra.clone();
        if let Need::Digest {
            repository, tag, ..
        } = &need
        {
            // The digest is not known yet, so the tag stands for it in the content key.
            meaning.insert("needs".into(), format!("{repository}:{tag}").into());
        }
        let own = own.filter(|id| !id.is_empty());
        let event = self.envelope(own, time, body, &meaning);
        let rejection = self.input_rejected(match &need {
            Need::Digest {
                repository, tag, ..
            } => format!(
                "no digest: the payload names only the tag `{repository}:{tag}`, which has to be resolved at the registry"
            ),
            Need::MediaType { digest, .. } => {
                format!("no media type: the payload does not say whether {digest} is an index")
            }
            Need::Leaf(named) => format!(
                "no manifest digest: the report names the image only by its configuration {} (`ImageID`)",
                named.config_digest
            ),
        });
        Decoded::NeedsResolving(Box::new(Pending::new(
            need,
            event,
            extra,
            own.is_none(),
            rejection,
        )))
    }

    fn envelope(
        &self,
        own: Option<&str>,
        time: Option<Timestamp>,
        body: Body,
        meaning: &Map<String, Value>,
    ) -> Event {
        let own = own.filter(|id| !id.is_empty());
        let id = own.map_or_else(|| self.content_key(time, &body, meaning), str::to_owned);
        Event {
            id: id.into(),
            source: self.source().into(),
            time,
            subject: None,
            body,
        }
    }

    /// The identifier of an event whose source gives it none: a hash over what it says, so that a
    /// redelivery is known by its content. Where it has no time either, equal content may be said
    /// twice and mean it (a tag that moves away and back): then the delivery tells them apart.
    fn content_key(
        &self,
        time: Option<Timestamp>,
        body: &Body,
        meaning: &Map<String, Value>,
    ) -> String {
        let said = format!(
            "{}\n{}\n{}\n{}",
            body.kind(),
            time.map(|time| time.to_string()).unwrap_or_default(),
            canonical::of_value(&body.data()),
            canonical::to_string(meaning),
        );
        let key = Digest::of(said.as_bytes()).hex();
        match self.delivery.delivery_id {
            Some(delivery) if time.is_none() => format!("{key}@{delivery}"),
            _ => key,
        }
    }

    /// A push. `digest` and `media_type` are what the source says; what it does not is left to be
    /// resolved. Without a digest there must be a tag.
    pub(super) fn push(&self, own: Option<&str>, time: Option<Timestamp>, push: Push) -> Decoded {
        let Push {
            repository,
            tag,
            digest,
            media_type,
            registry,
            fill,
        } = push;
        let media_type = media_type.filter(|said| !media_type::is_general(said));
        let need = match (&digest, &media_type, &tag) {
            (Some(_), Some(_), _) => None,
            (Some(digest), None, _) => Some(Need::MediaType {
                repository: repository.clone(),
                digest: digest.clone(),
            }),
            (None, _, Some(tag)) => Some(Need::Digest {
                repository: repository.clone(),
                tag: tag.clone(),
                // Whoever configured the source knows it better than the payload, which may name the
                // address of a product's pages.
                registry: registry.filter(|_| self.settings().registry.is_none()),
                scanned_at: None,
            }),
            (None, _, None) => {
                return self.rejected(&Problem::meaning(format!(
                    "a push into `{repository}` with neither digest nor tag"
                )));
            }
        };
        let body = Body::ImagePushed(ImagePushed {
            repository,
            digest: digest.unwrap_or(UNRESOLVED),
            media_type: media_type.unwrap_or_else(|| super::UNKNOWN_MEDIA_TYPE.to_owned()),
            tag,
            size: fill.size,
            artifact_type: fill.artifact_type,
            annotations: None,
            platform: fill.platform,
            manifests: None,
            actor: fill.actor,
            found_at_registry: false,
        });
        match need {
            None => self.event(own, time, body),
            Some(need) => self.pending(need, own, time, body, Map::new()),
        }
    }

    /// A tag's deletion.
    pub(super) fn tag_deleted(
        &self,
        own: Option<&str>,
        time: Option<Timestamp>,
        repository: RepositoryName,
        tag: Tag,
        actor: Option<String>,
    ) -> Decoded {
        let body = Body::TagDeleted(TagDeleted {
            repository,
            tag,
            actor,
        });
        self.event(own, time, body)
    }

    /// Something that is no event of ours, on purpose.
    pub(super) fn ignored(&self, reason: impl Into<String>) -> Decoded {
        Decoded::Ignored(reason.into())
    }

    /// Something that the payload does not tell whole.
    pub(super) fn untold(&self, reason: impl Into<String>) -> Decoded {
        Decoded::Untold(reason.into())
    }

    /// Something that cannot be read.
    pub(super) fn rejected(&self, problem: &Problem) -> Decoded {
        Decoded::Rejected(self.input_rejected(problem.to_string()))
    }

    fn input_rejected(&self, reason: String) -> InputRejected {
        InputRejected {
            reason,
            payload_digest: self.body_digest(),
            adapter: (self.adapter != super::UNKNOWN).then(|| self.adapter.to_owned()),
            payload: Some(excerpt(self.body())),
        }
    }

    /// The repository that `field` names, without the host of the default registry. `registry` of
    /// the settings goes before a name that has no host.
    pub(super) fn repository(&self, field: &Field<'_>) -> Result<RepositoryName, Problem> {
        self.repository_named(field.required()?)
            .map_err(|error| field.problem(error))
    }

    /// The digest that the sender says the payload is about.
    pub(super) fn subject(&self) -> Result<Option<Digest>, Problem> {
        let told = self.header(SUBJECT_HEADER).map(str::parse).transpose();
        told.map_err(|error| Problem::meaning(format!("header `{SUBJECT_HEADER}`: {error}")))
    }

    /// The repository as one of `registry`, which the payload tells, where another one is the default
    /// and the configuration does not say which one the source is.
    pub(super) fn at_home(&self, repository: RepositoryName, registry: &str) -> RepositoryName {
        let settings = self.settings();
        match &settings.default_registry {
            Some(default) if settings.registry.is_none() && default != registry => {
                repository.in_registry(registry).unwrap_or(repository)
            }
            _ => repository,
        }
    }

    /// As [`Context::repository`], for a name that is not a field of its own.
    pub(super) fn repository_named(
        &self,
        name: &str,
    ) -> Result<RepositoryName, weir_schema::RepositoryNameError> {
        let settings = self.settings();
        // Docker Hub by the name that Docker reads as this one, and some tools write.
        let name: RepositoryName = match name.strip_prefix("index.docker.io/") {
            Some(path) => format!("docker.io/{path}").parse()?,
            None => name.parse()?,
        };
        let name = match &settings.registry {
            Some(registry) => name.in_registry(registry)?,
            None => name,
        };
        Ok(match &settings.default_registry {
            Some(default) => name.known_where_default(default),
            None => name,
        })
    }

    /// The source's own repository that `field` names; see [`Context::own_repository_named`].
    pub(super) fn own_repository(&self, field: &Field<'_>) -> Result<RepositoryName, Problem> {
        self.own_repository_named(field.required()?)
            .map_err(|error| field.problem(error))
    }

    /// The repository at `path` of the source itself, which never says its own host: Harbor's projects
    /// for other registries are mostly called like them (`docker.io/library/alpine`).
    pub(super) fn own_repository_named(
        &self,
        path: &str,
    ) -> Result<RepositoryName, weir_schema::RepositoryNameError> {
        let settings = self.settings();
        let name: RepositoryName = path.parse()?;
        let home = settings
            .registry
            .as_ref()
            .or(settings.default_registry.as_ref());
        match (name.registry(), home) {
            (Some(first), Some(home)) if first != home => format!("{home}/{path}").parse(),
            _ => self.repository_named(path),
        }
    }
}

/// What a source says of a push.
pub(super) struct Push {
    pub(super) repository: RepositoryName,
    pub(super) tag: Option<Tag>,
    pub(super) digest: Option<Digest>,
    pub(super) media_type: Option<String>,
    /// The registry's host, where `repository` does not have it and the payload tells it.
    pub(super) registry: Option<String>,
    /// What else it says.
    pub(super) fill: Fill,
}

/// Details of a push that most sources lack.
#[derive(Default)]
pub(super) struct Fill {
    pub(super) size: Option<u64>,
    pub(super) artifact_type: Option<String>,
    pub(super) platform: Option<weir_schema::Platform>,
    pub(super) actor: Option<String>,
}

/// The tag in `field`, if there is one. Some registries put the digest there when a manifest has no
/// tag, others leave it empty; both mean none.
pub(super) fn optional_tag(field: &Field<'_>) -> Result<Option<Tag>, Problem> {
    if field.is_absent() {
        return Ok(None);
    }
    let text = field.required()?;
    if text.parse::<Digest>().is_ok() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| field.problem(error))
}

/// The tag in `field`, which must be there.
pub(super) fn required_tag(field: &Field<'_>) -> Result<Tag, Problem> {
    let text = field.required()?;
    text.parse().map_err(|error| field.problem(error))
}

/// The identifier of the event `index` of the delivery `own`: the first has the delivery's own.
pub(super) fn numbered(own: Option<&str>, index: usize) -> Option<Cow<'_, str>> {
    own.map(|own| match index {
        0 => Cow::Borrowed(own),
        index => Cow::Owned(format!("{own}/{index}")),
    })
}
