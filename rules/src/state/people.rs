//! What people said: overrides, approvals, holds.

use weir_schema::{Digest, Finding, Timestamp};

use super::names::{DigestId, NameId};
use crate::pattern::RepositoryPattern;

/// A repository pattern out of an event. One that cannot be read is kept, and matches what is
/// safe: every repository for a hold, none for an override.
#[derive(Debug, Clone)]
pub(crate) struct ScopePattern {
    pub(crate) text: String,
    pattern: Option<RepositoryPattern>,
}

impl ScopePattern {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            pattern: text.parse().ok(),
        }
    }

    fn matches(&self, repository: &str) -> Option<bool> {
        Some(self.pattern.as_ref()?.matches(repository))
    }
}

/// An override, in force until revoked or expired.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    pub(crate) vulnerability: String,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) repository: Option<ScopePattern>,
    pub(crate) digest: Option<Digest>,
    pub(crate) package: Option<String>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) status: Option<String>,
}

impl Override {
    pub(crate) fn is_in_force(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether its repository and package parts match; the digest part is the caller's, who knows
    /// what is above the leaf.
    pub(crate) fn covers(&self, repository: &str, finding: &Finding) -> bool {
        let here = self
            .repository
            .as_ref()
            .is_none_or(|scope| scope.matches(repository).unwrap_or(false));
        here && self
            .package
            .as_deref()
            .is_none_or(|wanted| is_package(wanted, finding))
    }
}

/// Whether a finding is in the package `NAME`, or `NAME@VERSION` for that version alone. A name may
/// begin with an `@` itself.
fn is_package(wanted: &str, finding: &Finding) -> bool {
    let (name, version) = (finding.package.as_deref(), finding.version.as_deref());
    name == Some(wanted)
        || wanted
            .rsplit_once('@')
            .is_some_and(|(of, in_version)| name == Some(of) && version == Some(in_version))
}

/// A hold, in force until released.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) actor: String,
    pub(crate) reason: String,
    pub(crate) repository: Option<ScopePattern>,
    pub(crate) digest: Option<Digest>,
    pub(crate) rule: Option<String>,
}

impl Hold {
    pub(crate) fn covers(&self, source: &str, target: &str, digest: &Digest, rule: &str) -> bool {
        let here = self.repository.as_ref().is_none_or(|scope| {
            scope.matches(source).unwrap_or(true) || scope.matches(target).unwrap_or(true)
        });
        here && self.digest.as_ref().is_none_or(|wanted| wanted == digest)
            && self.rule.as_deref().is_none_or(|wanted| wanted == rule)
    }
}

/// What an approval is bound to: source repository, digest, target repository.
pub(crate) type ApprovalKey = (NameId, DigestId, NameId);

/// One vote.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vote {
    pub(crate) actor: NameId,
    pub(crate) at: Timestamp,
    pub(crate) comment: Option<String>,
}
