//! Why a copy did not complete.

use std::time::Duration;

use weir_rules::gate::LeftOut;
use weir_schema::{Digest, RepositoryName, Tag};

use super::hidden::Runs;
use crate::oci::{ManifestError, OciError};

/// A copy that did not complete. The target tag was not moved by it, unless the registry lost the
/// answer to the last request; running the copy again finds out.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source tag no longer points at the digest that was judged.
    #[error("superseded: `{repository}:{tag}` is at {found}, no longer at {expected}")]
    Superseded {
        /// The source repository.
        repository: RepositoryName,
        /// The source tag.
        tag: Tag,
        /// The digest that was judged.
        expected: Digest,
        /// What the tag points at now.
        found: Digest,
    },
    /// The source tag is not there. A registry that is restored, or has several hearts, may have it
    /// again; if it was deleted, the event that tells of it ends the promotion.
    #[error("`{repository}:{tag}` is not there: deleted without a word, or not for the moment")]
    SourceAbsent {
        /// The source repository.
        repository: RepositoryName,
        /// The source tag.
        tag: Tag,
    },
    /// The target tag is not what the decision saw: somebody else moved it.
    #[error(
        "the target `{repository}:{tag}` {}, but the decision saw it {}: it is left as it is; `weir reconcile --confirm` records what it is, then `weir promote` decides on that", now_at(.found.as_ref()), seen(.expected.as_ref())
    )]
    TargetMoved {
        /// The target repository.
        repository: RepositoryName,
        /// The target tag.
        tag: Tag,
        /// What the decision saw.
        expected: Option<Digest>,
        /// What it points at now.
        found: Option<Digest>,
    },
    /// Something below the digest is not in the source repository: gone, or not for the moment, as of
    /// a registry that is restored or whose parts do not agree yet.
    #[error("{digest} is no longer in `{repository}`: push it there again")]
    SourceMissing {
        /// The source repository.
        repository: RepositoryName,
        /// The manifest or blob that is missing.
        digest: Digest,
    },
    /// The target registry does not let the tag be moved.
    #[error("the target `{repository}:{tag}` cannot be set: {refusal}")]
    TagRefused {
        /// The target repository.
        repository: RepositoryName,
        /// The target tag.
        tag: Tag,
        /// What the registry said; an immutable tag is one reason among others.
        refusal: Box<OciError>,
    },
    /// A manifest below the digest is none that can be copied.
    #[error("`{repository}@{digest}` cannot be copied: {cause}")]
    Invalid {
        /// The source repository.
        repository: RepositoryName,
        /// The manifest.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        cause: ManifestError,
    },
    /// What the gate leaves out of what has to be scanned, and yet can be run: nobody looked into it.
    #[error(
        "`{repository}@{digest}` is not to be promoted: {} it `{}`, so that nobody scans it, and yet it can be run: {runs}; {}", called(*.why), .why.as_str(), remedy(*.why)
    )]
    HiddenImage {
        /// The source repository.
        repository: RepositoryName,
        /// The manifest.
        digest: Digest,
        /// As what it is left out.
        why: LeftOut,
        /// What says that it can be run.
        runs: Runs,
    },
    /// Indexes are nested deeper, or there are more manifests, than any application has.
    #[error("`{repository}@{digest}` cannot be copied: {limit}")]
    TooLarge {
        /// The source repository.
        repository: RepositoryName,
        /// The manifest at which the limit was reached.
        digest: Digest,
        /// The limit.
        limit: &'static str,
    },
    /// The target has signatures, attestations or an SBOM under this tag that the source has not.
    #[error(
        "`{repository}:{tag}` holds {found}, which the source's {expected} would replace: merge the two, or delete the tag in the target repository"
    )]
    ReferrerConflict {
        /// The target repository.
        repository: RepositoryName,
        /// The tag that belongs to a digest.
        tag: Tag,
        /// What the source has under that tag.
        expected: Digest,
        /// What the target has.
        found: Digest,
    },
    /// A signature, attestation or SBOM that was pushed is not in the source repository: deleted without
    /// a word, or not for the moment.
    #[error(
        "`{repository}:{tag}` was pushed there and is not there: the copy would be without it; if it is gone for good, `weir reconcile --confirm` records that"
    )]
    ReferrerAbsent {
        /// The source repository.
        repository: RepositoryName,
        /// The tag that belongs to a digest.
        tag: Tag,
    },
    /// What was put at a tag that belongs to a digest is not there, and was not when it was put anew.
    #[error(
        "signatures, attestations or an SBOM were put at `{repository}:{tag}` and are not there: somebody else writes that tag at the same time, or the registry does not keep it; the copy is to be tried again"
    )]
    ReferrersNotKept {
        /// The target repository.
        repository: RepositoryName,
        /// The tag that belongs to a digest.
        tag: Tag,
    },
    /// Something that was copied is not at the target.
    #[error(
        "{digest} is not in `{repository}` although the registry answered that it is stored there: the copy is to be tried again; if that does not help, look into what that registry keeps"
    )]
    TargetIncomplete {
        /// The target repository.
        repository: RepositoryName,
        /// The manifest or blob that is missing.
        digest: Digest,
    },
    /// The registry took the tag and does not have it.
    #[error(
        "the registry answered that `{repository}:{tag}` is set to {digest}, but the tag {}: the copy is to be tried again; if that does not help, look into what that registry keeps", still_at(.found.as_ref())
    )]
    TagNotKept {
        /// The target repository.
        repository: RepositoryName,
        /// The target tag.
        tag: Tag,
        /// What it was set to.
        digest: Digest,
        /// What it points at: the same as before.
        found: Option<Digest>,
    },
    /// It is no longer for this process to move the tag.
    #[error("stopped before the tag was moved: another node leads")]
    Stopped,
    /// A request failed.
    #[error(transparent)]
    Registry(#[from] OciError),
}

fn now_at(found: Option<&Digest>) -> String {
    found.map_or_else(
        || "is gone".to_owned(),
        |digest| format!("points at {digest}"),
    )
}

fn still_at(found: Option<&Digest>) -> String {
    found.map_or_else(
        || "is not there".to_owned(),
        |digest| format!("still points at {digest}"),
    )
}

fn seen(expected: Option<&Digest>) -> String {
    expected.map_or_else(|| "absent".to_owned(), |digest| format!("at {digest}"))
}

/// Where it stands that something need not be scanned.
fn called(why: LeftOut) -> &'static str {
    match why {
        LeftOut::Config => "the annotation `io.cnab.manifest.type: config` calls",
        LeftOut::Attestation => {
            "the annotation `vnd.docker.reference.type` or the platform `unknown/unknown` calls"
        }
        LeftOut::Artifact => "`artifactType` or the type of its configuration calls",
    }
}

fn remedy(why: LeftOut) -> &'static str {
    match why {
        LeftOut::Config | LeftOut::Attestation => {
            "push the index without that word, and scan what it names, or without this child"
        }
        LeftOut::Artifact => {
            "push the index with it as the image that it is, and scan it, or without this child"
        }
    }
}

impl CopyError {
    /// Whether the same copy may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            // Something the manifest names vanished between our looking and its storing.
            Self::Registry(OciError::Refused { codes, .. })
                if codes.iter().any(|code| code == "MANIFEST_BLOB_UNKNOWN") =>
            {
                true
            }
            // A registry says what it does not know; an ingress that does not reach it just says 404.
            Self::Registry(OciError::NotFound { codes, .. }) if codes.is_empty() => true,
            Self::Registry(error) => error.is_retryable(),
            // Not there for the moment, as the source may be.
            Self::TargetMoved { found: None, .. } => true,
            Self::TargetIncomplete { .. }
            | Self::TagNotKept { .. }
            | Self::ReferrersNotKept { .. }
            | Self::ReferrerAbsent { .. }
            | Self::SourceAbsent { .. }
            | Self::SourceMissing { .. } => true,
            Self::Superseded { .. }
            | Self::TargetMoved { .. }
            | Self::TagRefused { .. }
            | Self::Invalid { .. }
            | Self::HiddenImage { .. }
            | Self::TooLarge { .. }
            | Self::Stopped
            | Self::ReferrerConflict { .. } => false,
        }
    }

    /// How long the registry asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Registry(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Whether the source tag was not at the digest that was judged.
    #[must_use]
    pub fn is_of_source_tag(&self) -> bool {
        matches!(self, Self::Superseded { .. } | Self::SourceAbsent { .. })
    }

    /// Whether the source repository has not the tags that the log knows of: no event told of that, or
    /// none yet.
    #[must_use]
    pub fn is_of_source_tags(&self) -> bool {
        self.is_of_source_tag() || matches!(self, Self::ReferrerAbsent { .. })
    }

    /// Whether the source tag moved on: then what it points at now is decided on its own.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Superseded { .. })
    }
}
