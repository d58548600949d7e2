//! Statements that a vulnerability does not matter somewhere (VEX), as overrides.
//!
//! An override's identifier is made of the document and of what the statement is about, so a later
//! version of the document replaces or revokes what an earlier one granted. What in the same document
//! speaks against it is looked for in `vex_against`.

use std::collections::BTreeMap;
use std::rc::Rc;

use weir_schema::{
    Body, Digest, OverrideGranted, OverrideRevoked, OverrideScope, RepositoryName, Timestamp,
};

use super::context::Context;
use super::problem::Problem;
use super::vex_against::Against;
use super::{Decoded, clip};

/// Why a statement about a package of a distribution is refused.
const OF_A_DISTRIBUTION: &str = "a package of one distribution, in any version: others have packages of that name, and an override does not tell them apart; name its version, or the image by its digest";

/// Why a statement about a package by a name that is not its kind's alone is refused.
const OF_A_BARE_NAME: &str = "a package by its name alone, in any version: packages of other kinds have that name, and an override does not tell them apart; name its version, or the image by its digest";

/// Refuses what is waived of a package outside of an image, in any version, where what an override keeps
/// of its name may be that of another. A name within a namespace (`org.acme:core`, `@angular/core`) is
/// nobody else's, and a version is hardly another's.
pub(super) fn check_told_apart(
    package: &str,
    version: Option<&str>,
    is_of_system: bool,
) -> Result<(), &'static str> {
    match version {
        Some(_) => Ok(()),
        None if is_of_system => Err(OF_A_DISTRIBUTION),
        None if !package.contains(['/', ':']) => Err(OF_A_BARE_NAME),
        None => Ok(()),
    }
}

/// Why a statement about one architecture of an image is refused, or about what else `qualifier` of its
/// package URL tells apart.
pub(super) fn of_an_architecture(qualifier: &str) -> String {
    format!(
        "one architecture of an image, or what else `{0}` tells apart, and a digest or a name may be that of all of them: give the digest of that image and leave `{0}` out, or name the image in the header `weir-subject-digest`",
        clip(qualifier)
    )
}

/// Why a statement about a part of a package is refused.
pub(super) const OF_A_SUBPATH: &str = "a part of a package (`#...`) or of an image: no override says that, and another part may be affected; name the package without it if all of it is meant";

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
    /// Other names of the vulnerability. What the document says in one go shares them.
    pub(super) aliases: Rc<[String]>,
    /// When it was made; `None` if that is not known, or the format knows no order.
    pub(super) made: Option<Timestamp>,
    /// Where it holds, or why no override says so.
    pub(super) scope: Result<Scope, Problem>,
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
    /// It counts, or nobody knows yet: somewhere in all of this.
    Counts(Scope),
    /// As [`Verdict::Counts`], where no event comes of it: what a report merely lists.
    Listed(Scope),
}

/// Where a statement holds: the default is everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    pub(super) repository: Option<RepositoryName>,
    pub(super) digest: Option<Digest>,
    pub(super) package: Option<String>,
}

/// What is said of one thing: the latest of either kind.
#[derive(Default)]
struct Said<'a> {
    waiver: Option<(usize, &'a Statement)>,
    counting: Option<&'a Statement>,
}

/// The events of a document's statements. A later statement about the same thing replaces an earlier
/// one, and a waiver that something speaks against is refused. `revises` says that the document had a
/// version before this one: then what counts (again) revokes what that may have granted.
pub(super) fn events(
    context: &Context<'_>,
    statements: &[Statement],
    time: Option<Timestamp>,
    revises: bool,
) -> Vec<Decoded> {
    let mut order = Vec::new();
    let mut all: BTreeMap<String, Said<'_>> = BTreeMap::new();
    let mut inexpressible = Vec::new();
    for (index, statement) in statements.iter().enumerate() {
        let scope = match &statement.scope {
            Ok(scope) => scope,
            Err(problem) => {
                inexpressible.extend(untold(context, statement, problem, revises));
                continue;
            }
        };
        let id = override_id(statement, scope);
        if !all.contains_key(&id) {
            order.push(id.clone());
        }
        let said = all.entry(id).or_default();
        match statement.verdict {
            Verdict::DoesNotCount(_) => {
                let newer = said.waiver.filter(|(_, one)| one.made > statement.made);
                said.waiver = newer.or(Some((index, statement)));
            }
            Verdict::Counts(_) => {
                let newer = said.counting.filter(|one| one.made > statement.made);
                said.counting = newer.or(Some(statement));
            }
            Verdict::Listed(_) => {}
        }
    }
    let against = Against::of(statements);
    let each = order.into_iter().flat_map(|id| {
        let said = all.remove(&id).unwrap_or_default();
        let events = Events {
            context,
            id,
            time,
            revises,
        };
        events.of(&said, &against)
    });
    each.collect::<Vec<_>>()
        .into_iter()
        .chain(inexpressible)
        .collect()
}

/// What becomes of a statement that no override can say.
fn untold(
    context: &Context<'_>,
    statement: &Statement,
    problem: &Problem,
    revises: bool,
) -> Option<Decoded> {
    match statement.verdict {
        Verdict::DoesNotCount(_) => Some(context.rejected(problem)),
        Verdict::Counts(_) if revises => Some(context.rejected(&Problem::meaning(format!(
            "{problem}; so what an earlier version granted there for {} is not revoked: revoke it (`weir overrides`)",
            clip(&statement.vulnerability)
        )))),
        Verdict::Counts(_) => Some(nothing_to_override(context, statement)),
        Verdict::Listed(_) => None,
    }
}

/// The events of what a document says of one thing.
struct Events<'a> {
    context: &'a Context<'a>,
    /// The override's.
    id: String,
    time: Option<Timestamp>,
    revises: bool,
}

impl Events<'_> {
    fn of(self, said: &Said<'_>, against: &Against<'_>) -> Vec<Decoded> {
        let waiver = said.waiver.map(|(_, waiver)| waiver);
        let refusal = said.waiver.and_then(|(index, _)| against.waiver(index));
        // Between two of one age both are told, by the refusal.
        let last_word = said.counting.filter(|one| {
            waiver.is_none_or(|waiver| waiver.made.is_some() && one.made > waiver.made)
        });
        match (waiver, refusal, last_word) {
            (Some(waiver), None, _) => vec![self.granted(waiver)],
            (_, _, Some(counting)) => self.counting(counting),
            (Some(waiver), Some(cause), None) => self.refused(waiver, cause),
            (None, _, None) => Vec::new(),
        }
    }

    fn granted(self, statement: &Statement) -> Decoded {
        let Verdict::DoesNotCount(reason) = &statement.verdict else {
            return nothing_to_override(self.context, statement);
        };
        let scope = statement.scope.clone().unwrap_or_default();
        let body = Body::OverrideGranted(OverrideGranted {
            override_id: self.id,
            vulnerability: statement.vulnerability.clone(),
            reason: reason.clone(),
            actor: statement.actor.clone(),
            scope: (scope != Scope::default()).then(|| OverrideScope {
                repository: scope.repository.map(|name| name.to_string()),
                digest: scope.digest,
                package: scope.package,
            }),
            expires_at: None,
            status: Some(statement.status.clone()),
        });
        self.context.event(None, self.time, body)
    }

    fn counting(self, statement: &Statement) -> Vec<Decoded> {
        if !self.revises {
            return vec![nothing_to_override(self.context, statement)];
        }
        // What was granted for a part is known by that part.
        let part = match &statement.scope {
            Ok(scope) if scope.package.is_none() => Some(("all of an image", "packages in it")),
            Ok(scope) if scope.version().is_none() => Some(("all of a package", "a version of it")),
            _ => None,
        };
        let unknown = part.map(|(all, part)| {
            self.context.rejected(&Problem::meaning(format!(
                "`{}` for {}, of {all}: what an earlier version granted for {part} is not known here; revoke it (`weir overrides`)",
                clip(&statement.status),
                clip(&statement.vulnerability)
            )))
        });
        unknown
            .into_iter()
            .chain([self.revoked(statement)])
            .collect()
    }

    fn refused(self, waiver: &Statement, cause: &Statement) -> Vec<Decoded> {
        let refusal = self.context.rejected(&Problem::meaning(format!(
            "`{}` for {}: the document says that a part of what this is about, or all of it, counts or may count (`{}` for {}), and no override can leave that out",
            clip(&waiver.status),
            clip(&waiver.vulnerability),
            clip(&cause.status),
            clip(&cause.vulnerability)
        )));
        // What an earlier version granted holds no longer either.
        let revoked = self.revises.then(|| self.revoked(waiver));
        [refusal].into_iter().chain(revoked).collect()
    }

    fn revoked(self, statement: &Statement) -> Decoded {
        let body = Body::OverrideRevoked(OverrideRevoked {
            override_id: self.id,
            actor: statement.actor.clone(),
            reason: Some(statement.status.clone()),
        });
        self.context.event(None, self.time, body)
    }
}

/// What becomes of a statement that something counts, where nothing was said before.
fn nothing_to_override(context: &Context<'_>, statement: &Statement) -> Decoded {
    context.ignored(format!(
        "`{}` for {}: nothing to override",
        statement.status, statement.vulnerability
    ))
}

fn override_id(statement: &Statement, scope: &Scope) -> String {
    let part = |text: Option<String>| text.unwrap_or_default();
    let about = [
        statement.document.clone(),
        statement.vulnerability.clone(),
        part(scope.repository.as_ref().map(ToString::to_string)),
        part(scope.digest.as_ref().map(ToString::to_string)),
        part(scope.package.clone()),
    ];
    let hex = Digest::of(about.join("\n").as_bytes()).hex();
    format!("vex-{}", hex.get(..16).unwrap_or(&hex))
}
