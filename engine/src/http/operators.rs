//! What operators say over HTTP says something: who speaks, why, and of what, as the command line
//! wants it too. An event that comes another way is taken as it is: it is true that it was said.

use weir_rules::pattern::RepositoryPattern;
use weir_schema::{Body, ReasonCode};

/// What an event lacks to be taken from an operator; `None` if nothing.
pub(super) fn lacking(body: &Body) -> Option<String> {
    let (texts, pattern): (&[(&str, &str)], _) = match body {
        Body::PromotionRequested(asked) => {
            (&[("actor", &asked.actor), ("reason", &asked.reason)], None)
        }
        Body::PromotionRetried(asked) => (&[("actor", &asked.actor)], None),
        Body::HoldPlaced(hold) => (
            &[
                ("hold_id", &hold.hold_id),
                ("actor", &hold.actor),
                ("reason", &hold.reason),
            ],
            hold.scope
                .as_ref()
                .and_then(|scope| scope.repository.as_ref()),
        ),
        // The name of what ends may be one that was taken another way.
        Body::HoldReleased(released) => (&[("actor", &released.actor)], None),
        Body::OverrideGranted(granted) => (
            &[
                ("override_id", &granted.override_id),
                ("vulnerability", &granted.vulnerability),
                ("reason", &granted.reason),
                ("actor", &granted.actor),
            ],
            granted
                .scope
                .as_ref()
                .and_then(|scope| scope.repository.as_ref()),
        ),
        Body::OverrideRevoked(revoked) => (&[("actor", &revoked.actor)], None),
        _ => return None,
    };
    let empty = texts.iter().find(|(_, text)| text.trim().is_empty());
    if let Some((name, _)) = empty {
        return Some(format!("`{name}` is empty"));
    }
    if let Some(Err(error)) = pattern.map(|text| text.parse::<RepositoryPattern>()) {
        return Some(format!("`repository` in `scope`: {error}"));
    }
    let Body::PromotionRequested(asked) = body else {
        return None;
    };
    let waived = asked.waive.iter().flatten();
    waived
        .filter_map(|word| word.parse::<ReasonCode>().err())
        .map(|error| format!("`waive`: {error}"))
        .next()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use weir_schema::Event;

    use super::*;

    fn told(kind: &str, data: &Value) -> Option<String> {
        let event =
            json!({"specversion": "1.0", "id": "1", "source": "s", "type": kind, "data": data});
        lacking(&Event::from_json(event.to_string().as_bytes()).unwrap().body)
    }

    #[test]
    fn what_means_nothing_is_told() {
        let target = json!({"repository": "prod/a", "tag": "1"});
        let cases = [
            (
                "weir.promotion.requested",
                json!({"repository": "a", "tag": "1", "target": target, "actor": "ann", "reason": "r", "waive": ["held"]}),
                vec!["actor", "reason"],
            ),
            (
                "weir.promotion.retried",
                json!({"promotion_id": "p", "actor": "ann"}),
                vec!["actor"],
            ),
            (
                "weir.hold.placed",
                json!({"hold_id": "h", "actor": "ann", "reason": "r", "scope": {"repository": "a/*"}}),
                vec!["hold_id", "actor", "reason"],
            ),
            (
                "weir.hold.released",
                json!({"hold_id": "", "actor": "ann"}),
                vec!["actor"],
            ),
            (
                "weir.override.granted",
                json!({"override_id": "o", "vulnerability": "CVE-1", "reason": "r", "actor": "ann"}),
                vec!["override_id", "vulnerability", "reason", "actor"],
            ),
            (
                "weir.override.revoked",
                json!({"override_id": "", "actor": "ann"}),
                vec!["actor"],
            ),
        ];
        for (kind, data, needed) in cases {
            assert_eq!(told(kind, &data), None, "{kind}");
            for name in needed {
                let mut without = data.clone();
                without[name] = " ".into();
                assert_eq!(told(kind, &without), Some(format!("`{name}` is empty")));
            }
        }
    }

    #[test]
    fn what_would_match_nothing_is_told() {
        let hold = json!({"hold_id": "h", "actor": "ann", "reason": "r", "scope": {"repository": "/a//b"}});
        let problem = told("weir.hold.placed", &hold).unwrap();
        assert!(
            problem.starts_with("`repository` in `scope`: "),
            "{problem}"
        );
        let asked = json!({"repository": "a", "tag": "1", "target": {"repository": "b", "tag": "1"}, "actor": "ann", "reason": "r", "waive": ["held", "hold"]});
        assert_eq!(
            told("weir.promotion.requested", &asked).as_deref(),
            Some("`waive`: `hold` is no reason code")
        );
    }
}
