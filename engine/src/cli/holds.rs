//! What a hold does not stop: what was decided before it. Whoever freezes, or tries again, is told.

use std::collections::BTreeSet;

use serde_json::Value;
use weir_rules::{pattern::RepositoryPattern, suggest::nearest};

use super::{on_one_line, why::text};

/// Whether a promotion is within the scope of a hold: `repository`, `digest` and `rule`, each where it
/// is given.
fn covers(hold: &Value, promotion: &Value) -> bool {
    let names = |pattern: &str| {
        let pattern = pattern.parse::<RepositoryPattern>().ok();
        let ends = [&promotion["source"], &promotion["target"]];
        pattern.is_some_and(|pattern| {
            ends.iter()
                .any(|end| pattern.matches(text(&end["repository"])))
        })
    };
    hold["repository"].as_str().is_none_or(names)
        && hold["digest"]
            .as_str()
            .is_none_or(|digest| promotion["source"]["digest"] == digest)
        && hold["rule"]
            .as_str()
            .is_none_or(|rule| promotion["rule"] == rule)
}

/// Names the promotions on their way that a new hold comes too late for.
pub(super) fn warn_of_promotions(scope: &Value, promotions: &Value) {
    let all = promotions.as_array().into_iter().flatten();
    let on_their_way = all.filter(|one| one["progress"] != "failed" && covers(scope, one));
    for one in on_their_way {
        let place = |end: &Value| format!("{}:{}", text(&end["repository"]), text(&end["tag"]));
        tell!(
            "weir: warning: {} was decided before and goes on: {} -> {}",
            text(&one["promotion_id"]),
            on_one_line(&place(&one["source"])),
            on_one_line(&place(&one["target"]))
        );
    }
}

/// Names the holds in force that a promotion which is tried again is within.
pub(super) fn warn_of_holds(holds: &Value, promotion: &Value) {
    let all = holds.as_array().into_iter().flatten();
    for hold in all.filter(|hold| covers(hold, promotion)) {
        tell!(
            "weir: warning: the hold `{}` does not stop it, for it was decided before: {}",
            on_one_line(text(&hold["hold_id"])),
            on_one_line(text(&hold["reason"]))
        );
    }
}

/// Says where no rule of that name is in force, which a hold may be placed for all the same.
pub(super) fn warn_of_rule(rules: &Value, name: &str) {
    let all = rules["rules"].as_array().into_iter().flatten();
    let all: Vec<&str> = all.filter_map(|rule| rule["rule"].as_str()).collect();
    if all.contains(&name) {
        return;
    }
    let meant = nearest(name, all);
    let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
    tell!("weir: warning: no rule `{name}` is in force: the hold stops nothing{meant}");
}

/// Says where no rule leads a tag of `repository` to the target that was approved, as far as `tags`,
/// those that are there, have verdicts.
pub(super) fn tell_of_target(repository: &str, target: &str, tags: &Value) {
    let tags = tags.as_array().into_iter().flatten();
    let verdicts = tags.flat_map(|tag| tag["verdicts"].as_array().into_iter().flatten());
    let targets = verdicts.filter_map(|one| crate::query::tag_of(text(&one["target"])));
    let targets: BTreeSet<&str> = targets.map(|(repository, _)| repository).collect();
    if targets.contains(target) {
        return;
    }
    let leads = match targets.is_empty() {
        true => "they are led nowhere".to_owned(),
        false => {
            let targets: Vec<String> = targets.iter().map(|one| format!("`{one}`")).collect();
            format!("they are led to {}", targets.join(", "))
        }
    };
    tell!(
        "hint: no rule in force leads a tag of `{}` to `{}`: {}",
        on_one_line(repository),
        on_one_line(target),
        on_one_line(&leads)
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_promotion_is_within_a_hold_where_all_that_is_given_fits() {
        let promotion = json!({"rule": "r", "source": {"repository": "dev/web", "digest": "sha256:aa"}, "target": {"repository": "prod/web"}});
        for (hold, expected) in [
            (json!({}), true),
            (json!({"repository": "prod/*"}), true),
            (json!({"repository": "dev/web", "rule": "r"}), true),
            (json!({"repository": "other/*"}), false),
            (json!({"digest": "sha256:bb"}), false),
            (json!({"rule": "s", "repository": null}), false),
        ] {
            assert_eq!(covers(&hold, &promotion), expected, "{hold}");
        }
    }
}
