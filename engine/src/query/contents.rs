//! What the log says of tags and of what is in a digest, found by the index.

use std::collections::BTreeSet;

use weir_schema::{Body, Descriptor, Digest, Record, RepositoryName, media_type};

use super::QueryError;
use crate::log::{
    ReadError,
    index::{Dimension, Index, Mention, Plan, Search, Test, mentions},
};

/// How deep indexes may be nested: deeper than any application that is valid.
const DEEPEST: usize = 10;

/// Records looked at for another digest that begins as one given does.
const LOOKS: usize = 1000;

/// Splits `repository:tag`; a colon before a slash belongs to a registry's port, and one after an
/// algorithm to a digest.
#[must_use]
pub fn tag_of(text: &str) -> Option<(&str, &str)> {
    let (repository, tag) = text.rsplit_once(':')?;
    let is_tag = !tag.contains('/') && !repository.is_empty() && !is_digest(text);
    is_tag.then_some((repository, tag))
}

fn is_digest(text: &str) -> bool {
    text.starts_with("sha256:") || text.starts_with("sha512:")
}

/// Of these types.
pub(super) fn types(names: &[&str]) -> Plan {
    let names = names.iter().map(|name| format!("weir.{name}"));
    Plan::Has(Dimension::Type, Test::Is(names.collect()))
}

/// The records before `end` that a plan takes.
pub(super) fn records(
    index: &Index,
    plan: Plan,
    end: u64,
    newest_first: bool,
) -> impl Iterator<Item = Result<Record, QueryError>> {
    let search = Search {
        plan,
        range: 0..end,
        newest_first,
    };
    index.find(search).map(|found| {
        let (_, bytes) = found?;
        decode(&bytes)
    })
}

/// A record as a type.
pub(super) fn decode(bytes: &[u8]) -> Result<Record, QueryError> {
    Record::decode(bytes).map_err(|error| QueryError::Unavailable(error.to_string()))
}

/// What a tag points at after a record, if it points it somewhere: by a push or a promotion.
pub(super) fn points<'a>(body: &'a Body, repository: &str, tag: &str) -> Option<&'a Digest> {
    match body {
        Body::ImagePushed(push) => {
            let here = push.repository.as_str() == repository;
            let this = push.tag.as_ref().is_some_and(|known| known.as_str() == tag);
            (here && this).then_some(&push.digest)
        }
        Body::PromotionCompleted(done) => {
            let here = done.target.repository == repository && done.target.tag == tag;
            done.source.digest.as_ref().filter(|_| here)
        }
        _ => None,
    }
}

/// What a tag was last pointed at before `end`, whether or not it is still there.
pub(super) fn bound_to(
    index: &Index,
    repository: &str,
    tag: &str,
    end: u64,
) -> Result<Option<String>, QueryError> {
    let plan = Plan::place(repository, tag).and(types(&["image.pushed", "promotion.completed"]));
    for record in records(index, plan, end, true) {
        if let Some(digest) = points(&record?.event.body, repository, tag) {
            return Ok(Some(digest.to_string()));
        }
    }
    Ok(None)
}

/// The first record that points a tag at something.
pub(crate) fn first_bound(
    index: &Index,
    repository: &str,
    tag: &str,
) -> Result<Option<Record>, QueryError> {
    let plan = Plan::place(repository, tag).and(types(&["image.pushed", "promotion.completed"]));
    for record in records(index, plan, u64::MAX, false) {
        let record = record?;
        if points(&record.event.body, repository, tag).is_some() {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// Where those of the manifests were pushed that were never read.
pub(crate) fn never_read(
    index: &Index,
    digests: BTreeSet<Digest>,
) -> Result<BTreeSet<(RepositoryName, Digest)>, QueryError> {
    let names = digests.iter().map(Digest::to_string).collect();
    let plan = Plan::Has(Dimension::Digest, Test::Is(names))
        .and(types(&["image.pushed", "manifest.resolved"]));
    let (mut pushed, mut read) = (BTreeSet::new(), BTreeSet::new());
    for record in records(index, plan, u64::MAX, false) {
        match record?.event.body {
            Body::ImagePushed(push) if digests.contains(&push.digest) => {
                pushed.insert((push.repository, push.digest));
            }
            Body::ManifestResolved(facts) => {
                read.insert(facts.digest);
            }
            _ => {}
        }
    }
    pushed.retain(|(_, digest)| !read.contains(digest));
    Ok(pushed)
}

/// The digests that begin as one given does.
pub(super) enum Found {
    None,
    One(String),
    /// More than one; two of them.
    Several(String, String),
}

/// Finds the digest that is meant by its beginning.
pub(super) fn resolve(index: &Index, begin: &str, end: u64) -> Result<Found, ReadError> {
    let search = Search {
        plan: Plan::digest(begin),
        range: 0..end,
        newest_first: true,
    };
    let mut known: Option<String> = None;
    for found in index.find(search).take(LOOKS) {
        let (_, record) = found?;
        let mut other = None;
        mentions(&record, |mention| {
            let Mention::Term(Dimension::Digest, digest) = mention else {
                return;
            };
            let (_, digits) = digest.split_once(':').unwrap_or(("", digest));
            if digest.starts_with(begin) || digits.starts_with(begin) {
                match &known {
                    None => known = Some(digest.to_owned()),
                    Some(known) if known == digest => {}
                    Some(_) => other = Some(digest.to_owned()),
                }
            }
        });
        if let (Some(known), Some(other)) = (&known, other) {
            return Ok(Found::Several(known.clone(), other));
        }
        if known.as_deref() == Some(begin) {
            break;
        }
    }
    Ok(known.map_or(Found::None, Found::One))
}

/// What is in an index, by the first record that says it; `None` of what is none, or not known.
pub(super) fn children(
    index: &Index,
    digest: &Digest,
    end: u64,
) -> Result<Option<Vec<Descriptor>>, QueryError> {
    let plan = Plan::has(Dimension::Digest, &digest.to_string())
        .and(types(&["image.pushed", "manifest.resolved"]));
    for record in records(index, plan, end, false) {
        let (of, media, manifests) = match record?.event.body {
            Body::ImagePushed(push) => (push.digest, push.media_type, push.manifests),
            Body::ManifestResolved(facts) => (facts.digest, facts.media_type, facts.manifests),
            _ => continue,
        };
        if of == *digest && media_type::is_index(&media) && manifests.is_some() {
            return Ok(manifests);
        }
    }
    Ok(None)
}

/// A digest and everything in it, as far as it is known.
pub(super) fn within(
    index: &Index,
    digest: &str,
    end: u64,
) -> Result<BTreeSet<Digest>, QueryError> {
    let Ok(digest) = digest.parse::<Digest>() else {
        return Ok(BTreeSet::new());
    };
    let mut known = BTreeSet::from([digest.clone()]);
    let mut level = vec![digest];
    for _ in 0..DEEPEST {
        let mut next = Vec::new();
        for digest in level {
            for child in children(index, &digest, end)?.into_iter().flatten() {
                if known.insert(child.digest.clone()) && media_type::is_index(&child.media_type) {
                    next.push(child.digest);
                }
            }
        }
        level = next;
    }
    Ok(known)
}
