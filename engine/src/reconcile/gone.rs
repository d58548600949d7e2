//! Whether what a registry did not find is gone. A proxy whose registry is away, or that leads
//! elsewhere for a moment, says 404 as well; a deletion that is concluded from that comes back as a
//! push, and is judged and promoted anew.
//!
//! So the registry is asked once more, and believed where it says in its own words that it knows no
//! such manifest. Of one that has no such words, its list of tags is believed. Whatever is left is a
//! doubt: it is told, and nothing is concluded.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use weir_schema::{Digest, RepositoryName, Tag};

use super::{AT_A_TIME, Drift, Failed, Here, Report, others, pushed};
use crate::oci::{OciError, RawManifest, Reference};

/// What came of asking once more.
enum Again {
    /// It is there.
    There(RawManifest),
    /// The registry says that it has no such manifest.
    Gone,
    /// Somebody says 404, perhaps not the registry.
    Unclear,
}

impl Here<'_> {
    /// What became of tags of a repository that were not found, each with what it was at: pushes,
    /// deletions and doubts.
    pub(super) async fn missing_tags(
        &self,
        name: &RepositoryName,
        missing: Vec<(Tag, Digest)>,
        failed: &mut Failed,
    ) -> Report {
        let mut report = Report::default();
        let mut unclear = Vec::new();
        let mut answers = stream::iter(missing.into_iter().map(async |(tag, was)| {
            let again = self.again(name, Reference::Tag(tag.clone())).await;
            (tag, was, again)
        }))
        .buffer_unordered(AT_A_TIME);
        while let Some((tag, was, again)) = answers.next().await {
            match again {
                Ok(Again::There(found)) if found.digest == was => {}
                Ok(Again::There(found)) => {
                    let (digest, media_type) = (found.digest, found.content_type);
                    let drift = pushed(name.clone(), Some(tag), digest, media_type, Some(was));
                    report.drift.push(drift);
                }
                Ok(Again::Gone) => report.drift.push(gone(name, tag, was)),
                Ok(Again::Unclear) => unclear.push((tag, was)),
                Err(error) => failed.note(tag, error),
            }
        }
        if unclear.is_empty() {
            return report;
        }
        let listed = match self.client.listed_tags(name.path()).await {
            Ok(listed) => Some(listed.into_iter().collect()),
            Err(error) if error.is_unknown_there() => Some(BTreeSet::new()),
            Err(error) if error.is_not_found() => None,
            Err(error) => {
                report.problem(&error);
                return report;
            }
        };
        let (gone_too, doubtful): (Vec<_>, Vec<_>) = unclear.into_iter().partition(|(tag, _)| {
            let listed = listed.as_ref();
            listed.is_some_and(|listed| !listed.contains(tag))
        });
        let gone_too = gone_too.into_iter();
        report
            .drift
            .extend(gone_too.map(|(tag, was)| gone(name, tag, was)));
        if let Some((tag, _)) = doubtful.first() {
            let others = others(doubtful.len());
            self.leave_open(&mut report, &format!("{name}:{tag}{others}"));
        }
        report
    }

    /// What became of a manifest within a tagged one that was not found.
    pub(super) async fn missing_manifest(
        &self,
        name: RepositoryName,
        digest: Digest,
    ) -> Result<Report, OciError> {
        let mut report = Report::default();
        match self.again(&name, digest.clone().into()).await? {
            Again::There(_) => {}
            Again::Gone => report.drift.push(Drift::ManifestDeleted {
                repository: name,
                digest,
            }),
            Again::Unclear => self.leave_open(&mut report, &format!("{name}@{digest}")),
        }
        Ok(report)
    }

    async fn again(&self, name: &RepositoryName, reference: Reference) -> Result<Again, OciError> {
        // Whoever answers is to speak for the registry still.
        self.client.ping().await?;
        match self.client.get_manifest(name.path(), &reference).await {
            Ok(found) => Ok(Again::There(found)),
            Err(error) if error.is_unknown_there() => Ok(Again::Gone),
            Err(error) if error.is_not_found() => Ok(Again::Unclear),
            Err(error) => Err(error),
        }
    }

    fn leave_open(&self, report: &mut Report, what: &str) {
        report.again = true;
        report.problems.push(format!(
            "registry `{}`: {what}: answered 404 without a registry's error code (`MANIFEST_UNKNOWN`), by a proxy perhaps: no deletion is concluded; look into what answers there",
            self.host
        ));
    }
}

fn gone(name: &RepositoryName, tag: Tag, was: Digest) -> Drift {
    Drift::TagDeleted {
        repository: name.clone(),
        tag,
        was,
    }
}
