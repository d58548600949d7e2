//! Rules from their directory: put in force at the start, when their files change, and at once on
//! SIGHUP. A set with an error is refused whole, and the one in force stays.

use std::{path::Path, sync::PoisonError, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use weir_rules::rule::{Rule, RuleTarget};
use weir_schema::{Body, RuleFile, RulesActivated, Timestamp};

use super::{DaemonError, Shared, default_registry::names_default, own_event};
use crate::{
    config::Config,
    query::{self, EventFilter},
    rules_dir,
    stream::PublishError,
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Files that change are read again after this time: an editor may be writing them, and half a rule
/// may be a rule.
const SETTLE: Duration = Duration::from_millis(500);

/// Rules that cannot be put in force.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct RulesRefused(String);

/// Rules that may be put in force.
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    files: Vec<RuleFile>,
    digest: [u8; 32],
}

/// Reads and checks a rule set: one with an error is refused whole.
pub(crate) fn checked(dir: &Path, default_registry: Option<&str>) -> Result<Offered, RulesRefused> {
    let offered = rules_dir::load(dir).map_err(|refused| RulesRefused(refused.to_string()))?;
    let rules_dir::Offered { files, loaded } = offered;
    // A folder that is not mounted looks so: all denies would be off.
    if files.is_empty() {
        return Err(RulesRefused(format!(
            "{}: no rule files (`.cel`); to put no rules in force, use one with `severity: off`",
            dir.display()
        )));
    }
    if let Some(host) = default_registry {
        let rules = loaded.rules.rules().iter();
        let named: Vec<String> = rules.filter_map(|rule| names_host(rule, host)).collect();
        if !named.is_empty() {
            return Err(RulesRefused(named.join("\n")));
        }
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(Offered {
        digest: loaded.rules.digest(),
        files,
    })
}

/// What is wrong with a rule that names the default registry.
fn names_host(rule: &Rule, host: &str) -> Option<String> {
    let from = rule.from.iter().flat_map(|patterns| patterns.as_slice());
    let to = match &rule.to {
        RuleTarget::Repository(template) => vec![template.as_str()],
        RuleTarget::Matching(patterns) => {
            patterns.as_slice().iter().map(|one| one.as_str()).collect()
        }
        RuleTarget::Any => Vec::new(),
    };
    let mut names = from.map(|one| one.as_str()).chain(to);
    let why = names.find_map(|name| names_default(name, host))?;
    Some(format!("{}: {why}", rule.path))
}

/// Puts the rules of the directory in force when a node begins to act.
pub(crate) async fn activate_at_start(shared: &Shared) -> Result<(), DaemonError> {
    let Some(dir) = &shared.config.rules else {
        return Ok(());
    };
    let offered = match checked_aside(shared, dir).await? {
        Ok(offered) => offered,
        Err(refused) => {
            shared.refuse(refused);
            return Ok(());
        }
    };
    loop {
        let Err(error) = activate(shared, offered.clone()).await else {
            return Ok(());
        };
        match error.downcast_ref::<PublishError>() {
            Some(problem) if problem.may_pass() => {
                tracing::warn!(%error, "the rules could not be recorded yet; trying again");
                tokio::time::sleep(LOOK).await;
            }
            Some(problem) => {
                shared.refuse(RulesRefused(problem.to_string()));
                return Ok(());
            }
            None => return Err(error),
        }
    }
}

/// Whether other rules than those of the directory are in force, another node put them there, and the
/// files are older than that is: they have not followed. Then they are refused, with the remedy. What
/// this node put in force itself it may put back.
pub(crate) async fn are_older(shared: &Shared) -> Result<bool, DaemonError> {
    let Some(dir) = &shared.config.rules else {
        return Ok(false);
    };
    let Ok(offered) = checked_aside(shared, dir).await? else {
        return Ok(false);
    };
    let in_force = shared.node.ask(|state| state.rules().digest()).await?;
    if offered.digest == in_force {
        return Ok(false);
    }
    let newest = EventFilter {
        kinds: vec!["weir.rules.activated".to_owned()],
        newest_first: true,
        limit: 1,
        ..EventFilter::default()
    };
    let index = shared.node.index().clone();
    let page = tokio::task::spawn_blocking(move || query::events(&index, &newest)).await?;
    let page = page.map_err(|error| error.to_string())?;
    let Some(activated) = page.events.first() else {
        return Ok(false);
    };
    let record: Value = serde_json::from_str(&activated.json)?;
    let by = record["event"]["data"]["actor"].as_str();
    if by == Some(&*shared.config.node_name()) {
        return Ok(false);
    }
    let by = by.map_or_else(|| "another node".to_owned(), |by| format!("`{by}`"));
    let activated: Option<Timestamp> = record["recorded_at"]
        .as_str()
        .and_then(|at| at.parse().ok());
    let files = dir.clone();
    let written = tokio::task::spawn_blocking(move || rules_dir::newest(&files)).await?;
    let written = written.map(|at| Timestamp::from(DateTime::<Utc>::from(at)));
    match (written, activated) {
        (Some(written), Some(activated)) if written < activated => {
            shared.refuse(RulesRefused(format!(
                "{}: its files are of {written}, and {by} put other rules in force at {activated}: these stay; bring the directory up to date, or put it in force as it is with SIGHUP",
                dir.display()
            )));
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The files as they are, to be read before any are put in force: what changes after that is seen.
/// `None` if they cannot be read.
pub(crate) async fn seen(config: &Config) -> Result<Option<Vec<RuleFile>>, DaemonError> {
    match &config.rules {
        Some(dir) => read(dir).await,
        None => Ok(None),
    }
}

async fn read(dir: &Path) -> Result<Option<Vec<RuleFile>>, DaemonError> {
    let dir = dir.to_owned();
    Ok(tokio::task::spawn_blocking(move || rules_dir::read(&dir).ok()).await?)
}

/// As [`checked`], on a thread of its own.
async fn checked_aside(
    shared: &Shared,
    dir: &Path,
) -> Result<Result<Offered, RulesRefused>, DaemonError> {
    let (dir, default) = (dir.to_owned(), shared.config.default_registry.clone());
    Ok(tokio::task::spawn_blocking(move || checked(&dir, default.as_deref())).await?)
}

/// Watches the files for others than were `seen`, and hears reload requests, until the daemon ends.
pub(crate) async fn run(
    shared: &Shared,
    mut seen: Option<Vec<RuleFile>>,
) -> Result<(), DaemonError> {
    let Some(dir) = shared.config.rules.clone() else {
        return std::future::pending().await;
    };
    loop {
        let asked = tokio::select! {
            () = shared.reload.notified() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        let mut now = read(&dir).await?;
        if !asked {
            if now == seen {
                continue;
            }
            loop {
                tokio::time::sleep(SETTLE).await;
                let again = read(&dir).await?;
                if again == now {
                    break;
                }
                now = again;
            }
        }
        match checked_aside(shared, &dir).await? {
            Ok(offered) => match activate(shared, offered).await {
                Ok(true) => {}
                Ok(false) if asked => tracing::info!("these rules are in force already"),
                Ok(false) => {}
                Err(error) => {
                    // `seen` stays as it was, so that it is tried again.
                    tracing::error!(%error, "the changed rules could not be recorded; trying again");
                    continue;
                }
            },
            Err(refused) => shared.refuse(refused),
        }
        seen = now;
    }
}

/// Puts rules in force; false if they are already.
async fn activate(shared: &Shared, offered: Offered) -> Result<bool, DaemonError> {
    let Offered { files, digest } = offered;
    let in_force = shared.node.ask(|state| state.rules().digest()).await?;
    let changes = digest != in_force;
    if changes {
        let id = format!("rules-{}", uuid::Uuid::new_v4());
        // Of a stream's nodes it tells which.
        let of_stream = shared.publisher.is_some();
        let actor = of_stream.then(|| shared.config.node_name());
        let body = Body::RulesActivated(RulesActivated { files, actor });
        shared.submit(vec![own_event(id, body)], None).await?;
    }
    *shared
        .refused
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = None;
    Ok(changes)
}

impl Shared {
    /// Why the newest rules are not in force, if they are not.
    pub(crate) fn refused_rules(&self) -> Option<String> {
        let kept = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    fn refuse(&self, refused: RulesRefused) {
        let text = refused.to_string();
        let mut kept = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::error!("the rules are refused, those in force stay:\n{text}");
        *kept = Some(text);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::checked;

    #[test]
    fn a_folder_without_rules_is_refused_as_one_that_is_not_mounted() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("README.md"), "rules come here").unwrap();
        let refused = checked(dir.path(), None).unwrap_err().to_string();
        assert!(refused.contains("no rule files"), "{refused}");
    }

    #[test]
    fn a_window_with_a_zone_for_one_span_only_is_not_put_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let rule = "//! from: dev/*\n//! to: prod/{1}\n\
                    //! window: Mon 08:00-16:00; Fri 08:00-12:00 Europe/Berlin\ntrue";
        fs::write(dir.path().join("r.cel"), rule).unwrap();
        let refused = checked(dir.path(), None).unwrap_err().to_string();
        assert!(
            refused.contains("write `Mon 08:00-16:00 Europe/Berlin`"),
            "{refused}"
        );
    }
}
