//! Promotions that this node decides and cannot carry out, for it is not told how to reach a
//! registry: they wait, and what they wait for is said. No node tells another which registries it
//! knows, so only the one that acts says so.

use serde_json::Value;
use weir_schema::RepositoryName;

use crate::{config::Config, daemon::Shared};

/// What must be configured before anything is copied between these repositories; `None` if both can
/// be reached.
pub(super) fn lacking(config: &Config, source: &str, target: &str) -> Option<String> {
    let mut lacking: Vec<String> = [source, target]
        .into_iter()
        .filter_map(|repository| lacking_for(config, repository))
        .collect();
    lacking.dedup();
    (!lacking.is_empty()).then(|| lacking.join("; "))
}

fn lacking_for(config: &Config, repository: &str) -> Option<String> {
    let name: RepositoryName = match repository.parse() {
        Ok(name) if config.reaches(&name) => return None,
        Ok(name) => name,
        Err(error) => return Some(format!("`{repository}` is no repository: {error}")),
    };
    Some(match name.registry() {
        Some(host) => format!(
            "no registry is configured for `{host}`: add a table [registries.\"{host}\"], or set `default_registry`"
        ),
        None => format!(
            "no registry is configured for `{name}`, which names none: set `default_registry`"
        ),
    })
}

/// Adds to each promotion of a list what it waits for.
pub(in crate::daemon) fn complete(shared: &Shared, promotions: &mut Value) {
    if !shared.config.promotions.execute || !shared.standing.borrow().acts() {
        return;
    }
    for promotion in promotions.as_array_mut().into_iter().flatten() {
        let repository = |end: &str| promotion[end]["repository"].as_str().unwrap_or_default();
        let lacking = lacking(&shared.config, repository("source"), repository("target"));
        if promotion["progress"] != "failed"
            && let Some(lacking) = lacking
        {
            promotion["waits_for"] = lacking.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str, source: &str, target: &str, expected: Option<&str>) {
        let config: Config = toml::from_str(config).unwrap();
        assert_eq!(lacking(&config, source, target).as_deref(), expected);
    }

    #[test]
    fn a_promotion_waits_for_each_registry_that_is_not_configured() {
        let table = "[registries.\"a.example\"]\n";
        let default = "default_registry = \"d.example\"\n";
        let of_host = "no registry is configured for `b.example:5000`: add a table [registries.\"b.example:5000\"], or set `default_registry`";
        let of_none =
            "no registry is configured for `dev/web`, which names none: set `default_registry`";
        check(table, "a.example/dev/web", "a.example/prod/web", None);
        check(default, "dev/web", "d.example/prod/web", None);
        check(default, "dev/web", "b.example:5000/web", Some(of_host));
        check(table, "dev/web", "a.example/prod/web", Some(of_none));
        let both = format!("{of_none}; {of_host}");
        check(table, "dev/web", "b.example:5000/web", Some(&both));
        check(table, "b.example:5000/a", "b.example:5000/b", Some(of_host));
    }
}
