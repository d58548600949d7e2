//! Judges facts under one rule, in the order of the core: gate, expression, target, people, time.
//!
//! A rule with `severity: warn` or `off` is judged as if it acted: it is tested before it does.
//!
//! What needs more than facts has no place here: holds, later builds, absent content. That takes a
//! history of events, which the core itself judges.

use chrono::DateTime;
use serde_json::Value as Json;
use weir_rules::cel::{ClauseOutcome, Evaluation};
use weir_rules::class::Class;
use weir_rules::rule::{Kind, Rule, RuleTarget, ScanRequirement, Separate};
use weir_schema::{ReasonCode, RepositoryName, Tag, Verdict};

use super::facts::full_name;
use super::json_facts::JsonFacts;

/// One reason, with what a test may expect of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// Its code.
    pub code: ReasonCode,
    /// The clause, for those that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Found {
    fn new(code: ReasonCode) -> Self {
        Self {
            code,
            clause: None,
            message: None,
        }
    }
}

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Vec<Found>,
    /// `REPOSITORY:TAG` that would be promoted to.
    pub target: String,
    /// What each clause came to, each time; nothing if the expression was not reached.
    pub evaluations: Vec<Evaluation>,
}

/// Judges `facts` under `rule`.
pub fn judge(rule: &Rule, facts: &Json) -> Result<Judgement, String> {
    let values = JsonFacts::new(facts)?;
    let target = format!(
        "{}:{}",
        text(facts, "target", "repository"),
        text(facts, "target", "tag")
    );
    let mut reasons = Vec::new();
    let mut evaluations = Vec::new();
    let class: Class = text(facts, "artifact", "class")
        .parse()
        .map_err(|error| format!("{error}"))?;
    let source = full_name(facts);
    // Of a deny rule the targets that it speaks of.
    let is_elsewhere = match &rule.to {
        RuleTarget::Matching(targets) => !targets.matches(text(facts, "target", "repository")),
        RuleTarget::Repository(_) | RuleTarget::Any => false,
    };
    let is_of_others = !rule.classes.contains(&class) || rule.captures(&source).is_none();
    if is_of_others || is_elsewhere {
        reasons.push(Found::new(ReasonCode::RuleRemoved));
    }
    if reasons.is_empty() && rule.kind == Kind::Promote {
        reasons = gate(rule, class, facts);
    }
    if reasons.is_empty() {
        let decided = rule.program.decide(&values);
        reasons = match rule.kind {
            Kind::Promote => of_promote(rule, &decided),
            Kind::Deny => of_deny(rule, &decided, facts),
        };
        evaluations.push(decided);
    }
    if rule.kind == Kind::Promote {
        if reasons.is_empty() {
            reasons = of_target(rule, &source, facts);
        }
        if reasons.is_empty() {
            reasons = of_people_and_time(rule, facts);
        }
    }
    reasons.sort_by(|a, b| (a.code, &a.clause).cmp(&(b.code, &b.clause)));
    Ok(Judgement {
        verdict: verdict(&reasons),
        reasons,
        target,
        evaluations,
    })
}

/// The strongest of the reasons' verdicts.
fn verdict(reasons: &[Found]) -> Verdict {
    let strength = |verdict: &Verdict| match verdict {
        Verdict::Promote => 0,
        Verdict::Wait => 1,
        Verdict::Block => 2,
        Verdict::Error => 3,
        Verdict::Withdrawn => 4,
    };
    let verdicts = reasons.iter().map(|reason| reason.code.verdict());
    verdicts.max_by_key(strength).unwrap_or(Verdict::Promote)
}

fn text<'a>(facts: &'a Json, variable: &str, field: &str) -> &'a str {
    facts[variable][field].as_str().unwrap_or("")
}

fn list<'a>(facts: &'a Json, variable: &str) -> impl Iterator<Item = &'a Json> {
    facts[variable].as_array().into_iter().flatten()
}

fn gate(rule: &Rule, class: Class, facts: &Json) -> Vec<Found> {
    if class != Class::App && rule.scan == ScanRequirement::NotRequired {
        return Vec::new();
    }
    let mut codes: Vec<ReasonCode> = list(facts, "images")
        .filter_map(|image| {
            let standing = list(&image["scan"], "scanners");
            let standing: Vec<&str> = standing.filter_map(Json::as_str).collect();
            let all_named = rule
                .scanners
                .iter()
                .all(|name| standing.contains(&name.as_str()));
            match text(image, "scan", "state") {
                "completed" if all_named => None,
                "failed" => Some(ReasonCode::ScanFailed),
                "running" => Some(ReasonCode::ScanRunning),
                _ => Some(ReasonCode::ScanMissing),
            }
        })
        .collect();
    if list(facts, "images").next().is_none() {
        codes.push(ReasonCode::NothingToScan);
    }
    codes.sort();
    codes.dedup();
    codes.into_iter().map(Found::new).collect()
}

fn of_promote(rule: &Rule, decided: &Evaluation) -> Vec<Found> {
    let clauses = rule.program.clauses().iter().zip(&decided.clauses);
    let reasons: Vec<Found> = clauses
        .filter_map(|(clause, outcome)| match (outcome, &decided.outcome) {
            (ClauseOutcome::False, Ok(false)) => Some(Found {
                clause: Some(clause.text.clone()),
                ..Found::new(ReasonCode::ClauseFalse)
            }),
            (ClauseOutcome::Error(error), Err(_)) => Some(Found {
                clause: Some(clause.text.clone()),
                message: Some(error.message.clone()),
                ..Found::new(ReasonCode::RuleError)
            }),
            _ => None,
        })
        .collect();
    match &decided.outcome {
        Err(error) if reasons.is_empty() => vec![Found {
            message: Some(error.message.clone()),
            ..Found::new(ReasonCode::RuleError)
        }],
        _ => reasons,
    }
}

fn of_deny(rule: &Rule, decided: &Evaluation, facts: &Json) -> Vec<Found> {
    match &decided.outcome {
        Ok(false) => Vec::new(),
        Ok(true) => {
            let message = rule.message.as_ref().map(|message| {
                let source = full_name(facts);
                message.render(&weir_rules::template::TemplateInput {
                    tag: text(facts, "tag", "name"),
                    digest: text(facts, "artifact", "digest"),
                    repository: &source,
                    captures: &rule.captures(&source).unwrap_or_default(),
                    time: time(&facts["now"]).unwrap_or_default(),
                })
            });
            vec![Found {
                message,
                ..Found::new(ReasonCode::Denied)
            }]
        }
        Err(error) => vec![Found {
            message: Some(error.message.clone()),
            ..Found::new(ReasonCode::RuleError)
        }],
    }
}

fn of_target(rule: &Rule, source: &str, facts: &Json) -> Vec<Found> {
    let repository = text(facts, "target", "repository");
    let tag = text(facts, "target", "tag");
    let digest = text(facts, "artifact", "digest");
    let is_legal = repository.parse::<RepositoryName>().is_ok() && tag.parse::<Tag>().is_ok();
    let went_through = list(facts, "lineage").any(|hop| hop["rule"] == rule.name.as_str());
    let is_itself = repository == source && tag == text(facts, "tag", "name");
    let exists = facts["target"]["exists"] == true;
    let is_immutable = facts["target"]["immutable_tags"] == true;
    let code = if !is_legal {
        Some(ReasonCode::BadTag)
    } else if went_through || is_itself {
        Some(ReasonCode::Loop)
    } else if exists && text(facts, "target", "digest") == digest {
        Some(ReasonCode::AlreadyThere)
    } else if exists && is_immutable {
        Some(ReasonCode::TargetImmutable)
    } else {
        None
    };
    code.map(Found::new).into_iter().collect()
}

fn of_people_and_time(rule: &Rule, facts: &Json) -> Vec<Found> {
    let mut codes = Vec::new();
    let mut actors: Vec<&str> = list(facts, "approvals")
        .filter_map(|approval| approval["actor"].as_str())
        .collect();
    actors.sort_unstable();
    actors.dedup();
    actors.retain(|actor| {
        let is_pusher = *actor == text(facts, "tag", "pushed_by");
        let is_owner = Some(*actor) == rule.owner.as_deref();
        !(is_pusher && rule.separate.contains(&Separate::Pusher)
            || is_owner && rule.separate.contains(&Separate::RuleOwner))
    });
    if actors.len() < rule.approvals as usize {
        codes.push(ReasonCode::ApprovalMissing);
    }
    let now = time(&facts["now"]);
    if let (Some(soak), Some(now)) = (rule.soak, now) {
        let soaked = time(&facts["tag"]["pushed_at"]).is_some_and(|pushed| now - pushed >= soak);
        if !soaked {
            codes.push(ReasonCode::Soaking);
        }
    }
    if let (Some(window), Some(now)) = (&rule.window, now)
        && !window.is_open(now)
    {
        codes.push(ReasonCode::OutsideWindow);
    }
    codes.into_iter().map(Found::new).collect()
}

fn time(json: &Json) -> Option<DateTime<chrono::Utc>> {
    json.as_str()?.parse().ok()
}
