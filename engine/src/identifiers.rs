//! How long a name may be that people and programs choose. Names stand in decisions, answers and log
//! lines; what was recorded before with a longer one stays as it is.

use weir_schema::Body;

/// Bytes of the longest name that is taken: several times what registries, scanners and trackers give.
const LONGEST: usize = 1024;

/// What is wrong with an event in which a name is too long; `None` if none is.
pub(crate) fn too_long(body: &Body) -> Option<String> {
    let (name, bytes) = names(body)
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?.len())))
        .find(|(_, bytes)| *bytes > LONGEST)?;
    Some(format!(
        "`{name}` has {bytes} bytes, at most {LONGEST} are taken: give a shorter one"
    ))
}

/// The names in an event, with those of their fields.
fn names(body: &Body) -> Vec<(&'static str, Option<&str>)> {
    fn given(text: &str) -> Option<&str> {
        Some(text)
    }
    match body {
        Body::RepositoryCreated(said) | Body::RepositoryDeleted(said) => {
            vec![("actor", said.actor.as_deref())]
        }
        Body::RepositoryConfigured(said) => vec![("actor", said.actor.as_deref())],
        Body::ImagePushed(said) => vec![("actor", said.actor.as_deref())],
        Body::TagDeleted(said) => vec![("actor", said.actor.as_deref())],
        Body::ManifestDeleted(said) => vec![("actor", said.actor.as_deref())],
        Body::ScanStarted(said) => vec![("scanner", given(&said.scanner.name))],
        Body::ScanCompleted(said) => vec![("scanner", given(&said.scanner.name))],
        Body::ScanFailed(said) => vec![("scanner", given(&said.scanner.name))],
        Body::ScannerUpdated(said) => vec![("scanner", given(&said.scanner.name))],
        Body::OverrideGranted(said) => vec![
            ("override_id", given(&said.override_id)),
            ("vulnerability", given(&said.vulnerability)),
            ("actor", given(&said.actor)),
        ],
        // What ends is known by its name, which may have been taken before names had a limit.
        Body::OverrideRevoked(said) => vec![("actor", given(&said.actor))],
        Body::HoldReleased(said) => vec![("actor", given(&said.actor))],
        Body::ApprovalRevoked(_) => vec![],
        Body::ApprovalGranted(said) => vec![("actor", given(&said.actor))],
        Body::HoldPlaced(said) => {
            let scope = said.scope.as_ref();
            vec![
                ("hold_id", given(&said.hold_id)),
                ("actor", given(&said.actor)),
                ("rule", scope.and_then(|scope| scope.rule.as_deref())),
            ]
        }
        Body::PromotionRequested(said) => vec![("actor", given(&said.actor))],
        Body::PromotionRetried(said) => vec![
            ("promotion_id", given(&said.promotion_id)),
            ("actor", given(&said.actor)),
        ],
        Body::RulesActivated(said) => vec![("actor", said.actor.as_deref())],
        Body::PromotionStarted(said)
        | Body::PromotionCompleted(said)
        | Body::PromotionFailed(said) => vec![
            ("promotion_id", given(&said.promotion_id)),
            ("rule", given(&said.rule)),
        ],
        Body::ManifestResolved(_)
        | Body::ScanRequested(_)
        | Body::InputRejected(_)
        | Body::DecisionMade(_)
        | Body::ViolationFound(_)
        | Body::ViolationCleared(_)
        | Body::ClockTicked
        | Body::Unknown(_) => vec![],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use weir_schema::Event;

    use super::*;

    fn told(kind: &str, data: &Value) -> Option<String> {
        let event =
            json!({"specversion": "1.0", "id": "1", "source": "s", "type": kind, "data": data});
        too_long(&Event::from_json(event.to_string().as_bytes()).unwrap().body)
    }

    #[test]
    fn a_name_of_more_than_a_kibibyte_is_told() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let hold = json!({"hold_id": "h", "actor": "ann", "reason": "r"});
        let granted =
            json!({"override_id": "o", "vulnerability": "CVE-1", "reason": "r", "actor": "ann"});
        let asked = json!({"repository": "a", "tag": "1", "target": {"repository": "b", "tag": "1"}, "actor": "ann", "reason": "r"});
        let deleted = json!({"repository": "a", "digest": digest, "actor": "ann"});
        let cases = [
            ("weir.hold.placed", hold, vec!["hold_id", "actor"]),
            (
                "weir.override.granted",
                granted,
                vec!["override_id", "vulnerability", "actor"],
            ),
            ("weir.promotion.requested", asked, vec!["actor"]),
            (
                "weir.promotion.retried",
                json!({"promotion_id": "p1", "actor": "ann"}),
                vec!["promotion_id", "actor"],
            ),
            ("weir.manifest.deleted", deleted, vec!["actor"]),
        ];
        for (kind, data, names) in cases {
            for name in names {
                let mut longest = data.clone();
                longest[name] = "é".repeat(512).into();
                assert_eq!(told(kind, &longest), None, "{kind}");
                longest[name] = "é".repeat(513).into();
                let problem = told(kind, &longest).unwrap_or_default();
                assert!(
                    problem.starts_with(&format!("`{name}` has 1026 bytes")),
                    "{kind}: {problem}"
                );
            }
        }
    }

    #[test]
    fn what_was_taken_with_a_longer_name_can_be_ended() {
        let name = "h".repeat(2000);
        let released = json!({"hold_id": name, "actor": "ann"});
        assert_eq!(told("weir.hold.released", &released), None);
        let revoked = json!({"override_id": name, "actor": "ann"});
        assert_eq!(told("weir.override.revoked", &revoked), None);
    }
}
