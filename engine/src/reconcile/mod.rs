//! Reconciling: what registries hold, compared with what the log says they hold. The difference is
//! what a registry did without a word, or what its word was lost of.
//!
//! ```text
//! catalog ─> tags ─> digests ──┐
//! images of tagged indexes ────┴── compare with Known ──> Drift ──> events, if so wished
//! ```
//!
//! Only an answer counts: where a registry cannot be asked, nothing is concluded and the report says
//! so. A deletion is concluded only after the registry was asked for the very tag or manifest, twice
//! (`gone.rs`). A registry that has nothing of all that is known has more likely lost its disk than
//! its images.
//!
//! What was pushed to one repository is told in the order in which it was made: rules ask what is newer.

mod gone;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use weir_rules::{Held, State, pattern::RepositoryPatterns};
use weir_schema::{
    Body, Digest, ImagePushed, ManifestDeleted, RepositoryName, Tag, TagDeleted, Timestamp,
};

use crate::{
    oci::{Client, Clients, OciError, Reference},
    resolve,
};

/// Requests that wait for one registry at a time; its own limits come on top.
const AT_A_TIME: usize = 16;

/// What the log says that registries hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The last record that it takes into account.
    pub seq: u64,
    /// What each tag points at, and the record at which it came to.
    pub tags: BTreeMap<(RepositoryName, Tag), (Digest, u64)>,
    /// What tagged indexes hold, or are to hold.
    pub held: BTreeMap<(RepositoryName, Digest), Held>,
}

/// What pushes were recorded of while registries were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    tags: BTreeSet<(RepositoryName, Tag)>,
    manifests: BTreeSet<(RepositoryName, Digest)>,
}

impl Told {
    /// Notes what an event says. Which of the same is the newer is not to be seen in the state: it
    /// knows no second push of what a tag points at already, and none of an image within an index.
    pub fn note(&mut self, body: Body) {
        if let Body::ImagePushed(pushed) = body {
            let tag = pushed.tag.map(|tag| (pushed.repository.clone(), tag));
            self.tags.extend(tag);
            self.manifests.insert((pushed.repository, pushed.digest));
        }
    }
}

impl Known {
    /// What the state says.
    #[must_use]
    pub fn of(state: &State) -> Self {
        Self {
            seq: state.seq(),
            tags: state.tag_bindings(),
            held: state.held_manifests().into_iter().collect(),
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "drift", rename_all = "kebab-case")]
pub enum Drift {
    /// A tag that the log does not know, or knows elsewhere. Without a tag: an image or index within a
    /// tagged one that is there again.
    Pushed {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<Tag>,
        /// What it points at.
        digest: Digest,
        /// The media type by the registry's word.
        media_type: String,
        /// What the log says that it points at.
        #[serde(skip_serializing_if = "Option::is_none")]
        was: Option<Digest>,
    },
    /// A tag that is gone.
    TagDeleted {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
        /// What the log says that it points at.
        was: Digest,
    },
    /// An image or index within a tagged one that is gone.
    ManifestDeleted {
        /// The repository.
        repository: RepositoryName,
        /// The manifest.
        digest: Digest,
    },
}

impl Drift {
    fn repository(&self) -> &RepositoryName {
        match self {
            Self::Pushed { repository, .. }
            | Self::TagDeleted { repository, .. }
            | Self::ManifestDeleted { repository, .. } => repository,
        }
    }

    /// What came goes before what went.
    fn order(&self) -> (u8, &RepositoryName) {
        let kind = match self {
            Self::Pushed { .. } => 0,
            Self::TagDeleted { .. } => 1,
            Self::ManifestDeleted { .. } => 2,
        };
        (kind, self.repository())
    }

    /// The manifest within a tagged one that it is about.
    fn part(&self) -> Option<&Digest> {
        match self {
            Self::Pushed {
                tag: None, digest, ..
            }
            | Self::ManifestDeleted { digest, .. } => Some(digest),
            Self::Pushed { .. } | Self::TagDeleted { .. } => None,
        }
    }

    /// The event that tells of it.
    #[must_use]
    pub fn event(&self) -> Body {
        match self.clone() {
            Self::Pushed {
                repository,
                tag,
                digest,
                media_type,
                ..
            } => Body::ImagePushed(ImagePushed {
                repository,
                digest,
                media_type,
                tag,
                size: None,
                artifact_type: None,
                annotations: None,
                platform: None,
                manifests: None,
                actor: None,
                found_at_registry: true,
            }),
            Self::TagDeleted {
                repository, tag, ..
            } => Body::TagDeleted(TagDeleted {
                repository,
                tag,
                actor: None,
            }),
            Self::ManifestDeleted { repository, digest } => {
                Body::ManifestDeleted(ManifestDeleted {
                    repository,
                    digest,
                    actor: None,
                })
            }
        }
    }

    /// Whether the log still says what it said when this was found, and nothing was `told` of it. What
    /// was recorded in the meantime may be newer than what the registry answered.
    #[must_use]
    pub fn holds(&self, before: &Known, now: &Known, told: &Told) -> bool {
        match self {
            Self::Pushed {
                repository,
                tag: Some(tag),
                ..
            }
            | Self::TagDeleted {
                repository, tag, ..
            } => {
                let key = (repository.clone(), tag.clone());
                before.tags.get(&key) == now.tags.get(&key) && !told.tags.contains(&key)
            }
            Self::Pushed {
                repository,
                tag: None,
                digest,
                ..
            }
            | Self::ManifestDeleted { repository, digest } => {
                let key = (repository.clone(), digest.clone());
                before.held.get(&key) == now.held.get(&key) && !told.manifests.contains(&key)
            }
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pushed {
                repository,
                tag: None,
                digest,
                ..
            } => write!(f, "{repository}@{digest} is there again"),
            Self::Pushed {
                repository,
                tag: Some(tag),
                digest,
                was: None,
                ..
            } => write!(f, "{repository}:{tag} is there, at {digest}"),
            Self::Pushed {
                repository,
                tag: Some(tag),
                digest,
                was: Some(was),
                ..
            } => write!(f, "{repository}:{tag} is at {digest}, no longer at {was}"),
            Self::TagDeleted {
                repository,
                tag,
                was,
            } => write!(f, "{repository}:{tag} is gone, it was at {was}"),
            Self::ManifestDeleted { repository, digest } => {
                write!(f, "{repository}@{digest} is gone")
            }
        }
    }
}

/// What a look at the registries showed.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The differences, in order of repositories; what was pushed to one of them in the order in
    /// which it was made.
    pub drift: Vec<Drift>,
    /// What could not be asked, and why. Nothing is concluded about it.
    pub problems: Vec<String>,
    /// Some of it may be answered later without anybody changing anything.
    pub again: bool,
    /// Tags that were compared.
    pub tags: usize,
    /// Images and indexes within tagged ones that were looked for.
    pub manifests: usize,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.drift.extend(other.drift);
        self.problems.extend(other.problems);
        self.again |= other.again;
        self.tags += other.tags;
        self.manifests += other.manifests;
    }

    fn problem(&mut self, error: &OciError) {
        self.again |= error.is_retryable();
        self.problems.push(error.to_string());
    }
}

/// Whether a registry is believed that has nothing of all that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emptied {
    /// Somebody looks at what is found.
    Believed,
    /// Nobody does: it is told as a problem.
    Doubted,
}

/// Looks at the registries named `hosts`. Repositories of `default` are named without it. `only`
/// limits the repositories that are looked at.
pub async fn survey(
    clients: &Clients,
    hosts: &BTreeSet<String>,
    default: Option<&str>,
    only: Option<&RepositoryPatterns>,
    known: &Known,
    emptied: Emptied,
) -> Report {
    let mut report = Report::default();
    for host in hosts {
        let client = match clients.get(host) {
            Ok(client) => client,
            Err(error) => {
                report.problem(&error);
                continue;
            }
        };
        // A registry that does not answer for itself is not believed that something is gone.
        if let Err(error) = client.ping().await {
            report.problem(&error);
            continue;
        }
        let here = Here {
            client,
            clients,
            host,
            is_default: default == Some(host),
            known,
        };
        let mut found = Report::default();
        here.survey(only, &mut found).await;
        if emptied == Emptied::Doubted {
            here.doubt(&mut found);
        }
        report.add(found);
    }
    // Stable: within a repository the order is that of its pushes.
    report
        .drift
        .sort_by(|a, b| (a.order(), a.part()).cmp(&(b.order(), b.part())));
    report
}

/// The order of tags that were made at the same time, or at times that nobody knows: that of their
/// texts, with numbers by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(String, u64)> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(|char: char| char.is_ascii_digit());
            let (word, behind) = rest.split_at(word.unwrap_or(rest.len()));
            let end = behind.find(|char: char| !char.is_ascii_digit());
            let (number, behind) = behind.split_at(end.unwrap_or(behind.len()));
            parts.push((word.to_owned(), number.parse().unwrap_or(u64::MAX)));
            rest = behind;
        }
        parts
    };
    parts(a).cmp(&parts(b)).then_with(|| a.cmp(b))
}

/// Tags of a repository, each with what the log says of it.
type Tags = BTreeMap<Tag, Option<Digest>>;

/// One registry.
struct Here<'a> {
    client: Client,
    clients: &'a Clients,
    host: &'a str,
    is_default: bool,
    known: &'a Known,
}

impl Here<'_> {
    async fn survey(&self, only: Option<&RepositoryPatterns>, report: &mut Report) {
        // Each repository with its tags that are known.
        let mut repositories: BTreeMap<RepositoryName, Tags> = BTreeMap::new();
        for ((name, tag), (digest, _)) in &self.known.tags {
            if self.has(name) {
                let tags = repositories.entry(name.clone()).or_default();
                tags.insert(tag.clone(), Some(digest.clone()));
            }
        }
        match self.client.catalog().await {
            Ok(paths) => {
                for name in paths.iter().filter_map(|path| self.named(path)) {
                    repositories.entry(name).or_default();
                }
            }
            Err(error) => {
                report.again |= error.is_retryable();
                report
                    .problems
                    .push(format!("only known repositories are looked at: {error}"));
            }
        }
        repositories.retain(|name, _| only.is_none_or(|only| only.matches(&name.to_string())));
        let held = self.known.held.iter();
        let held = held.filter(|((name, _), _)| repositories.contains_key(name));
        let held: Vec<_> = held.map(|(part, held)| (part.clone(), *held)).collect();
        let repositories = repositories.into_iter();
        let mut answers =
            stream::iter(repositories.map(|(name, tags)| self.repository(name, tags)))
                .buffer_unordered(AT_A_TIME);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(found) => report.add(found),
                Err(error) => report.problem(&error),
            }
        }
        let held = held.into_iter();
        let mut answers =
            stream::iter(held.map(|((name, digest), held)| self.held(name, digest, held)))
                .buffer_unordered(AT_A_TIME);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(found) => report.add(found),
                Err(error) => report.problem(&error),
            }
        }
    }

    /// Concludes no deletion where all that is known is gone.
    fn doubt(&self, found: &mut Report) {
        let is_gone = |drift: &Drift| matches!(drift, Drift::TagDeleted { .. });
        let gone = found.drift.iter().filter(|drift| is_gone(drift)).count();
        // All that were compared; of one tag alone it is nothing strange.
        if gone < 2 || gone < found.tags {
            return;
        }
        found.drift.clear();
        found.again = true;
        found.problems.push(format!(
            "{} has none of the {gone} tags that are known, and has perhaps lost what it keeps: no deletion is concluded; if it is empty on purpose, say so with `weir reconcile --confirm`",
            self.host
        ));
    }

    fn has(&self, name: &RepositoryName) -> bool {
        match name.registry() {
            Some(host) => host == self.host,
            None => self.is_default,
        }
    }

    /// The repository at `path` as the log names it.
    fn named(&self, path: &str) -> Option<RepositoryName> {
        let within: RepositoryName = path.parse().ok()?;
        // A path that begins like a host would be in another registry.
        if self.is_default && within.registry().is_none() {
            return Some(within);
        }
        format!("{}/{path}", self.host).parse().ok()
    }

    /// What one repository shows, of which `tags` are known.
    async fn repository(&self, name: RepositoryName, mut tags: Tags) -> Result<Report, OciError> {
        for tag in self.client.tags(name.path()).await? {
            tags.entry(tag).or_default();
        }
        let mut report = Report {
            tags: tags.len(),
            ..Report::default()
        };
        let mut answers = stream::iter(tags.into_iter().map(async |(tag, known)| {
            let reference = Reference::Tag(tag.clone());
            let head = self.client.head_manifest(name.path(), &reference).await;
            (tag, known, head)
        }))
        .buffer_unordered(AT_A_TIME);
        let (mut missing, mut failed) = (Vec::new(), Failed::default());
        while let Some((tag, known, head)) = answers.next().await {
            match (head, known) {
                (Ok(Some(head)), Some(known)) if known == head.digest => {}
                (Ok(Some(head)), known) => {
                    let (digest, media_type) = (head.digest, head.media_type);
                    let drift = pushed(name.clone(), Some(tag), digest, media_type, known);
                    report.drift.push(drift);
                }
                (Ok(None), Some(was)) => missing.push((tag, was)),
                (Ok(None), None) => {}
                (Err(error), _) => failed.note(tag, error),
            }
        }
        report.add(self.missing_tags(&name, missing, &mut failed).await);
        report.tags -= failed.count;
        failed.tell(&name, &mut report);
        report.drift = self.in_order(report.drift).await;
        Ok(report)
    }

    /// The pushes in the order in which what was pushed was made, then the deletions by their tags.
    async fn in_order(&self, drift: Vec<Drift>) -> Vec<Drift> {
        let pushes = drift.iter().filter(|one| one.order().0 == 0).count();
        let dated = stream::iter(drift.into_iter().map(async |one| {
            let at = match &one {
                Drift::Pushed {
                    repository, digest, ..
                } if pushes > 1 => resolve::created(self.clients, repository, digest).await,
                _ => None,
            };
            (at, one)
        }));
        let mut dated: Vec<(Option<Timestamp>, Drift)> =
            dated.buffer_unordered(AT_A_TIME).collect().await;
        let tag = |one: &Drift| match one {
            Drift::Pushed { tag: Some(tag), .. } | Drift::TagDeleted { tag, .. } => tag.to_string(),
            Drift::Pushed { digest, .. } | Drift::ManifestDeleted { digest, .. } => {
                digest.to_string()
            }
        };
        dated.sort_by(|(at, a), (bt, b)| {
            let by_time = a.order().cmp(&b.order()).then(at.cmp(bt));
            by_time.then_with(|| natural(&tag(a), &tag(b)))
        });
        dated.into_iter().map(|(_, one)| one).collect()
    }

    /// What became of a manifest within a tagged one.
    async fn held(
        &self,
        name: RepositoryName,
        digest: Digest,
        held: Held,
    ) -> Result<Report, OciError> {
        let reference = Reference::Digest(digest.clone());
        let head = self.client.head_manifest(name.path(), &reference).await?;
        let mut report = Report {
            manifests: 1,
            ..Report::default()
        };
        match head {
            Some(head) if held.is_missed => {
                let drift = pushed(name, None, digest, head.media_type, None);
                report.drift.push(drift);
            }
            None if held.is_there => report.add(self.missing_manifest(name, digest).await?),
            Some(_) | None => {}
        }
        Ok(report)
    }
}

/// Tags of a repository that could not be asked for. The others are compared: one that a registry can
/// never answer for would hide all else there.
#[derive(Default)]
struct Failed {
    count: usize,
    first: Option<(Tag, OciError)>,
    again: bool,
}

impl Failed {
    fn note(&mut self, tag: Tag, error: OciError) {
        self.count += 1;
        self.again |= error.is_retryable();
        if self.first.as_ref().is_none_or(|(first, _)| tag < *first) {
            self.first = Some((tag, error));
        }
    }

    fn tell(self, name: &RepositoryName, report: &mut Report) {
        if let Some((tag, error)) = self.first {
            let others = others(self.count);
            report.again |= self.again;
            report
                .problems
                .push(format!("{name}:{tag}{others}: {error}"));
        }
    }
}

/// What stands behind the first of several.
fn others(count: usize) -> String {
    match count.saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    }
}

fn pushed(
    repository: RepositoryName,
    tag: Option<Tag>,
    digest: Digest,
    media_type: Option<String>,
    was: Option<Digest>,
) -> Drift {
    let unknown = || crate::adapters::UNKNOWN_MEDIA_TYPE.to_owned();
    Drift::Pushed {
        repository,
        tag,
        digest,
        media_type: media_type.unwrap_or_else(unknown),
        was,
    }
}
