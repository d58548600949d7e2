//! Statements that a vulnerability does not matter somewhere (VEX), as overrides.
//!
//! An override's identifier is made of the document and of what the statement is about, so a later
//! version of the document replaces or revokes what an earlier one granted.

use std::collections::BTreeMap;

use weir_schema::{
    Body, Digest, OverrideGranted, OverrideRevoked, OverrideScope, RepositoryName, Timestamp,
};

use super::Decoded;
use super::context::Context;

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

/// The events of a document's statements. A later statement about the same thing replaces an
/// earlier one. `revises` says that the document had a version before this one: then what counts
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
    let mut decoded = Vec::new();
    for id in order {
        if let Some(statement) = last.remove(&id) {
            decoded.push(event(context, id, statement, time, revises));
        }
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
        Verdict::Counts => {
            return context.ignored(format!(
                "`{status}` for {vulnerability}: nothing to override"
            ));
        }
    };
    context.event(None, time, body)
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
