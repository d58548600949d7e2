//! Statements that a vulnerability does not matter somewhere (VEX), as overrides.
//!
//! An override's identifier is made of the document and of what the statement is about, so a later
//! version of the document replaces or revokes what an earlier one granted.

use std::collections::BTreeMap;

use weir_schema::{
    Body, Digest, OverrideGranted, OverrideRevoked, OverrideScope, RepositoryName, Timestamp,
};

use super::context::Context;
use super::problem::Problem;
use super::{Decoded, clip};

/// Why a statement about a package of a distribution is refused.
pub(super) const OF_A_DISTRIBUTION: &str = "a package of one distribution, in any version: others have packages of that name, and an override does not tell them apart; name its version, or the image by its digest";

/// Why a statement about one architecture of an image is refused.
pub(super) const OF_AN_ARCHITECTURE: &str = "one architecture of an image, whose digest may be that of all of them: give the digest of that image and leave `arch` out, or name the image in the header `weir-subject-digest`";

/// Why a statement about a part of a package is refused.
pub(super) const OF_A_SUBPATH: &str = "a part of a package (`#...`): no override says that, and another part may be affected; name the package without it if all of it is meant";

/// Why a statement about several versions of a package is refused.
pub(super) const OF_A_RANGE: &str = "a range of versions: no override says that; name each version, or the image by its digest and the package without a version";

/// Whether what stands in a version's place is a range.
pub(super) fn is_range(version: &str) -> bool {
    version.starts_with(['<', '>', '=', '~', '^', '*']) || version.starts_with("vers:")
}

/// One statement about one vulnerability in one place.
pub(super) struct Statement {
    /// Names the document.
    pub(super) document: String,
    pub(super) vulnerability: String,
    pub(super) scope: Scope,
    /// Who says so.
    pub(super) actor: String,
    /// The word of the format.
    pub(super) status: String,
    pub(super) verdict: Verdict,
}

/// What a statement means for a finding.
pub(super) enum Verdict {
    /// It does not count, for this reason.
    DoesNotCount(String),
    /// It counts, or nobody knows yet.
    Counts,
}

/// Where a statement holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    pub(super) repository: Option<RepositoryName>,
    pub(super) digest: Option<Digest>,
    pub(super) package: Option<String>,
}

impl Scope {
    /// Whether what `other` is about is a part of what this is about.
    fn takes_in(&self, other: &Self) -> bool {
        fn open<T: PartialEq>(own: &Option<T>, its: &Option<T>) -> bool {
            own.is_none() || own == its
        }
        let package = match (&self.package, &other.package) {
            (Some(own), Some(its)) => {
                own == its
                    || its
                        .strip_prefix(own.as_str())
                        .is_some_and(|rest| rest.starts_with('@'))
            }
            (own, _) => own.is_none(),
        };
        open(&self.repository, &other.repository) && open(&self.digest, &other.digest) && package
    }
}

/// The events of a document's statements. A later statement about the same thing replaces an
/// earlier one; one of which the document contradicts a part is refused. `revises` says that the document had a version before this one: then what counts
/// (again) revokes what that may have granted.
pub(super) fn events(
    context: &Context<'_>,
    statements: Vec<Statement>,
    time: Option<Timestamp>,
    revises: bool,
) -> Vec<Decoded> {
    let mut order = Vec::new();
    let mut last: BTreeMap<String, Statement> = BTreeMap::new();
    for statement in statements {
        let id = override_id(&statement);
        if last.insert(id.clone(), statement).is_none() {
            order.push(id);
        }
    }
    let narrower: Vec<(String, Scope)> = last
        .values()
        .filter(|statement| matches!(statement.verdict, Verdict::Counts))
        .map(|statement| (statement.vulnerability.clone(), statement.scope.clone()))
        .collect();
    let mut decoded = Vec::new();
    for id in order {
        let Some(mut statement) = last.remove(&id) else {
            continue;
        };
        let contradicted = matches!(statement.verdict, Verdict::DoesNotCount(_))
            && narrower.iter().any(|(vulnerability, scope)| {
                *vulnerability == statement.vulnerability && statement.scope.takes_in(scope)
            });
        let whole = statement.scope.package.is_none();
        if contradicted {
            decoded.push(context.rejected(&Problem::meaning(format!(
                "`{}` for {}: the document says that a part of what this is about is affected, and no override can leave that out",
                clip(&statement.status),
                clip(&statement.vulnerability)
            ))));
            if !revises {
                continue;
            }
            // What an earlier version granted holds no longer either.
            statement.verdict = Verdict::Counts;
        } else if revises && whole && matches!(statement.verdict, Verdict::Counts) {
            // What was granted for a package is known by that package.
            decoded.push(context.rejected(&Problem::meaning(format!(
                "`{}` for {}, of all of an image: what an earlier version granted for packages in it is not known here; revoke it (`weir overrides`)",
                clip(&statement.status),
                clip(&statement.vulnerability)
            ))));
        }
        decoded.push(event(context, id, statement, time, revises));
    }
    decoded
}

fn event(
    context: &Context<'_>,
    override_id: String,
    statement: Statement,
    time: Option<Timestamp>,
    revises: bool,
) -> Decoded {
    let Statement {
        vulnerability,
        scope,
        actor,
        status,
        verdict,
        ..
    } = statement;
    let body = match verdict {
        Verdict::DoesNotCount(reason) => Body::OverrideGranted(OverrideGranted {
            override_id,
            vulnerability,
            reason,
            actor,
            scope: (scope != Scope::default()).then(|| OverrideScope {
                repository: scope.repository.map(|name| name.to_string()),
                digest: scope.digest,
                package: scope.package,
            }),
            expires_at: None,
            status: Some(status),
        }),
        Verdict::Counts if revises => Body::OverrideRevoked(OverrideRevoked {
            override_id,
            actor,
            reason: Some(status),
        }),
        Verdict::Counts => return counts(context, &status, &vulnerability),
    };
    context.event(None, time, body)
}

/// What becomes of a statement that something counts, where nothing was said before.
pub(super) fn counts(context: &Context<'_>, status: &str, vulnerability: &str) -> Decoded {
    context.ignored(format!(
        "`{status}` for {vulnerability}: nothing to override"
    ))
}

fn override_id(statement: &Statement) -> String {
    let part = |text: Option<String>| text.unwrap_or_default();
    let about = [
        statement.document.clone(),
        statement.vulnerability.clone(),
        part(statement.scope.repository.as_ref().map(ToString::to_string)),
        part(statement.scope.digest.as_ref().map(ToString::to_string)),
        part(statement.scope.package.clone()),
    ];
    let hex = Digest::of(about.join("\n").as_bytes()).hex();
    format!("vex-{}", hex.get(..16).unwrap_or(&hex))
}
