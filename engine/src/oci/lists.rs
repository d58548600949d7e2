//! Lists that come in pages: tags, repositories, referrers.

use std::{collections::BTreeSet, time::Instant};

use reqwest::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use weir_schema::{Digest, Tag};

use super::{
    answer::next_link,
    auth::{Scopes, scope},
    client::{Call, Client},
    descriptor::Descriptor,
    error::OciError,
    manifests::Reference,
};

/// Largest page read.
const PAGE_LIMIT: usize = 8 << 20;

/// Most bytes read of all pages of one list: some 400,000 repositories, or a million tags. What is
/// kept of a list takes several times as much, so this is what bounds the memory of a look at a
/// registry that has, or makes up, ever more.
pub const LIST_LIMIT: usize = 32 << 20;

/// Entries asked for in one page; registries may give fewer.
const PAGE_ENTRIES: usize = 1000;

/// A list may take as long as so many of its pages: a catalog takes a busy registry minutes.
const LONGEST_LIST: u32 = 10;

/// A list with more pages than this does not end.
const MOST_PAGES: usize = 10_000;

#[derive(Deserialize)]
struct TagPage {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct CatalogPage {
    repositories: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ReferrerPage {
    manifests: Option<Vec<Descriptor>>,
}

/// What refers to a manifest, and how that was found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Referrers {
    /// The manifests that name it as their subject, sorted by digest.
    pub descriptors: Vec<Descriptor>,
    /// The index under the tag `ALGORITHM-HEX`, where there is one: registries without a
    /// referrers API keep the list there, and whoever pushes maintains it.
    pub fallback: Option<Digest>,
    /// Whether the registry has a referrers API.
    pub has_api: bool,
}

/// The tag under which referrers of `digest` are listed in registries that do not list them
/// themselves.
///
/// # Errors
/// Never for the digests there are; the type cannot say so.
pub fn fallback_tag(digest: &Digest) -> Result<Tag, weir_schema::TagError> {
    // The specification cuts the hexadecimal part at 64 characters.
    let hex: String = digest.hex().chars().take(64).collect();
    format!("{}-{hex}", digest.algorithm()).parse()
}

impl Client {
    /// The tags of a repository, in the registry's order. What is no tag is left out. Empty for a
    /// repository that is not there.
    ///
    /// # Errors
    /// As every request.
    pub async fn tags(&self, repository: &str) -> Result<Vec<Tag>, OciError> {
        match self.listed_tags(repository).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            other => other,
        }
    }

    /// As [`Self::tags`], for whoever is to tell a repository without tags from one that is not
    /// there.
    ///
    /// # Errors
    /// As every request; `NotFound` if the repository is not there.
    pub async fn listed_tags(&self, repository: &str) -> Result<Vec<Tag>, OciError> {
        let path = format!("v2/{repository}/tags/list?n={PAGE_ENTRIES}");
        let what = format!("listing the tags of `{repository}`");
        let scopes = vec![scope(repository, "pull")];
        let mut tags = Vec::new();
        let take = |page: TagPage| {
            let names = page.tags.unwrap_or_default().into_iter();
            tags.extend(names.filter_map(|name| name.parse::<Tag>().ok()));
        };
        self.pages(what, path, scopes, take).await?;
        Ok(tags)
    }

    /// The repositories of the registry that the login may see, as paths within the registry.
    ///
    /// # Errors
    /// As every request; many public registries have no catalog and refuse.
    pub async fn catalog(&self) -> Result<Vec<String>, OciError> {
        let path = format!("v2/_catalog?n={PAGE_ENTRIES}");
        let what = "listing the repositories".to_owned();
        let scopes = vec!["registry:catalog:*".to_owned()];
        let mut paths = Vec::new();
        let take = |page: CatalogPage| paths.extend(page.repositories.unwrap_or_default());
        self.pages(what, path, scopes, take).await?;
        Ok(paths)
    }

    /// What refers to `subject`: from the referrers API where there is one, and from the tag that
    /// stands in for it.
    ///
    /// # Errors
    /// As every request.
    pub async fn referrers(
        &self,
        repository: &str,
        subject: &Digest,
    ) -> Result<Referrers, OciError> {
        let path = format!("v2/{repository}/referrers/{subject}");
        let what = format!("listing what refers to `{repository}@{subject}`");
        let scopes = vec![scope(repository, "pull")];
        let mut found = Referrers::default();
        if !self.lacks_referrers() {
            let mut descriptors = Vec::new();
            let take = |page: ReferrerPage| descriptors.extend(page.manifests.unwrap_or_default());
            match self.pages(what.clone(), path, scopes, take).await {
                Ok(()) => {
                    found.has_api = true;
                    found.descriptors = descriptors;
                }
                // Registries older than the API refuse in many ways. One that does not even know
                // the path, and so gives no code of its own, need not be asked again for a while.
                Err(OciError::NotFound { codes, message, .. }) if codes.is_empty() => {
                    self.note_lack_of_referrers(&what, message).await?;
                }
                Err(OciError::NotFound { .. } | OciError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let tag = fallback_tag(subject).map_err(|error| self.protocol(&what, error.to_string()))?;
        match self.get_manifest(repository, &Reference::Tag(tag)).await {
            Ok(listed) => {
                // A tag of this name that holds no index is an artifact of another tool; it is
                // copied as what it is, but lists nothing.
                if let Ok(page) = serde_json::from_slice::<ReferrerPage>(&listed.bytes) {
                    found.descriptors.extend(page.manifests.unwrap_or_default());
                }
                found.fallback = Some(listed.digest);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        found
            .descriptors
            .sort_by(|left, right| left.digest.cmp(&right.digest));
        found
            .descriptors
            .dedup_by(|left, right| left.digest == right.digest);
        Ok(found)
    }

    /// Gives every page of a list to `take`.
    async fn pages<Page: DeserializeOwned>(
        &self,
        what: String,
        path: String,
        scopes: Scopes,
        mut take: impl FnMut(Page),
    ) -> Result<(), OciError> {
        let mut call = Call::new(what, Method::GET, path, scopes);
        // A registry whose pages come round again would be asked for ever.
        let mut seen = BTreeSet::new();
        let mut left = LIST_LIMIT;
        let began = Instant::now();
        let longest = self.longest_answer() * LONGEST_LIST;
        loop {
            if began.elapsed() > longest {
                return Err(OciError::Connection {
                    registry: self.registry().to_owned(),
                    what: call.what,
                    reason: format!("its pages have not ended after {} s", longest.as_secs()),
                });
            }
            let answer = match self.answer(&call, PAGE_LIMIT.min(left)).await {
                Err(OciError::TooLarge { .. }) if left < PAGE_LIMIT => {
                    return Err(self.too_long(call.what));
                }
                other => other?,
            };
            if answer.status != StatusCode::OK {
                return Err(self.refusal(&call, &answer));
            }
            left = left.saturating_sub(answer.body.len());
            let page = serde_json::from_slice(&answer.body).map_err(|error| {
                self.protocol(&call.what, format!("the answer is no list: {error}"))
            })?;
            take(page);
            let Some(next) = next_link(&answer.headers) else {
                return Ok(());
            };
            if !seen.insert(next.clone()) || seen.len() >= MOST_PAGES {
                // What follows the path may be a secret.
                let next = next.split('?').next().unwrap_or_default();
                return Err(self.protocol(&call.what, format!("its pages do not end (`{next}`)")));
            }
            call.path = next;
        }
    }

    fn too_long(&self, what: String) -> OciError {
        OciError::ListTooLong {
            registry: self.registry().to_owned(),
            what,
            limit: LIST_LIMIT,
        }
    }
}
