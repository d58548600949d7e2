//! What is told to whoever asks for what is not there, wrongly, or why.

use serde_json::json;
use tempfile::TempDir;

use crate::asked::{Daemon, fill, lines, log_of};
use crate::cli::said;
#[test]
fn who_asks_for_a_tag_that_is_not_there_is_told_what_is() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let pushed = ["log", "--type", "image.pushed", "--output", "jsonl"];
    let (pushed, _) = said(dir, &pushed, 0);
    let push = &lines(&pushed)[0]["event"]["data"];
    let text = |name: &str| push[name].as_str().expect("a text").to_owned();
    let (repository, tag) = (text("repository"), text("tag"));
    let check = || {
        for verb in ["why", "show", "history"] {
            for (asked, meant) in [
                (
                    format!("registry.example/{repository}:{tag}"),
                    format!("; there is `{repository}:{tag}`: repositories of the default"),
                ),
                (
                    format!("{repository}x:{tag}"),
                    format!("; did you mean the repository `{repository}`?"),
                ),
                (
                    format!("{repository}:{tag}x"),
                    format!("; did you mean `{repository}:"),
                ),
            ] {
                let (_, told) = said(dir, &[verb, &asked], 2);
                assert!(told.contains(&meant), "{verb} {asked}: {told}");
            }
        }
        let (_, told) = said(
            dir,
            &["why", &format!("{repository}:{tag}"), "--at", "1"],
            2,
        );
        assert!(told.contains("; it was there at another time"), "{told}");
        let (path, _) = repository.rsplit_once('/').expect("a path");
        for (asked, meant) in [
            (
                vec!["show".to_owned(), format!("{repository}x")],
                format!("is `{repository}x`; did you mean `{repository}`?"),
            ),
            (
                vec!["show".to_owned(), path.to_owned()],
                format!("is `{path}`; list what is below it with `weir list '{path}/**'`"),
            ),
            (
                vec!["list".to_owned(), format!("x{path}/**")],
                format!("is `x{path}/**`; did you mean `{path}/**`?"),
            ),
        ] {
            let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
            let (_, told) = said(dir, &asked, 0);
            let told = told.trim_end();
            assert!(told.ends_with(&meant), "{asked:?}: {told}");
        }
        let (_, told) = said(dir, &["list", &format!("{path}/**")], 0);
        assert_eq!(told, "");
    };
    check();
    let _daemon = Daemon::start(dir);
    check();
}

#[test]
fn why_names_the_votes_that_do_not_count_and_what_stands_at_an_immutable_target() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    let (first, second) = (digest_of("first"), digest_of("second"));
    let rule = |more: &str| {
        let text = format!(
            "//! rule: go\n//! from: dev/*\n//! to: prod/{{1}}\n//! scan: not-required\n{more}\ntrue\n"
        );
        json!({"files": [{"path": "go.cel", "text": text}]})
    };
    let push = |digest: &str| json!({"repository": "dev/web", "tag": "1", "digest": digest, "media_type": "application/vnd.oci.image.manifest.v1+json", "actor": "pia"});
    let vote = |actor: &str| json!({"repository": "dev/web", "digest": second, "target": "prod/web", "actor": actor});
    log_of(
        dir,
        &[
            ("rules.activated", rule("")),
            ("image.pushed", push(&first)),
            (
                "rules.activated",
                rule(
                    "//! approvals: 2\n//! separate: pusher, rule-owner\n//! owner: olga, otto\n//! soak: 1h\n//! window: Mon 12:00-13:00 UTC\n",
                ),
            ),
            ("image.pushed", push(&second)),
            ("approval.granted", vote("pia")),
            ("approval.granted", vote("otto")),
            ("approval.granted", vote("ann")),
            (
                "repository.configured",
                json!({"repository": "prod/web", "immutable_tags": true}),
            ),
        ],
    );
    let (told, _) = said(dir, &["why", "dev/web:1"], 0);
    for line in [
        "vote not counted that of pia, who is the pusher",
        "vote not counted that of otto, who is the rule's owner",
        "approval-missing  1 of 2",
        "- 1 more approval",
        "- time until 2026-03-02T11:03:00Z",
        "- its window, which opens at 2026-03-02T12:00:00Z",
        &format!(
            "- a target tag that does not exist yet: this one holds {first}, and may not move"
        ),
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
}

#[test]
fn why_tells_what_the_header_of_a_deny_rule_says_also_where_its_expression_errs() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    let promote = "//! from: dev/*\n//! to: prod/{1}\n//! scan: not-required\ntrue\n";
    let deny = "//! kind: deny\n//! to: prod/**\n//! about: Bases are known.\n//! owner: sec\n//! link: https://wiki/x\n//! message: no base of {repository}:{tag}\nartifact.labels[\"base\"] == \"\"\n";
    log_of(
        dir,
        &[
            (
                "rules.activated",
                json!({"files": [{"path": "go.cel", "text": promote}, {"path": "based.cel", "text": deny}]}),
            ),
            (
                "image.pushed",
                json!({"repository": "dev/web", "tag": "1", "digest": digest_of("web"), "media_type": "application/vnd.oci.image.manifest.v1+json"}),
            ),
        ],
    );
    let (table, _) = said(dir, &["why", "dev/web:1"], 0);
    for line in [
        "  values of the deny rule based\n    message        no base of dev/web:1\n",
        "    about          Bases are known.\n    owner          sec\n    link           https://wiki/x\n",
    ] {
        assert!(table.contains(line), "{line}\n{table}");
    }
    let (answer, _) = said(dir, &["why", "dev/web:1", "--output", "json"], 0);
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    let deny = &answer[0]["denies"][0];
    assert_eq!(
        (&deny["message"], &deny["about"], &deny["owner"]),
        (
            &json!("no base of dev/web:1"),
            &json!("Bases are known."),
            &json!("sec")
        )
    );
}

fn digest_of(text: &str) -> String {
    weir_schema::Digest::of(text.as_bytes()).to_string()
}

#[test]
fn wrong_questions_are_told_where_they_are_wrong() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let told = |arguments: &[&str], parts: &[&str]| {
        let (_, told) = said(dir, arguments, 2);
        for part in parts {
            assert!(told.contains(part), "{arguments:?}: {told}");
        }
    };
    told(&["impact", ""], &["a value is required"]);
    told(
        &["log", "--where", "event.tpye == 'x'"],
        &["where:1:7: ", "^", "did you mean 'type'?"],
    );
    for more in [
        &["--count"][..],
        &["--by", "type"],
        &[],
        &["--limit", "4", "--order", "oldest"],
    ] {
        let question = [&["log", "--where", "10 / (seq - 3) > 0"], more].concat();
        let (_, told) = said(dir, &question, 0);
        let warned = "warning: --where could not be answered for 1 of the records";
        assert!(told.contains(warned), "{question:?}: {told}");
        assert!(told.contains("for record 3:\nwhere:1:1: "), "{told}");
    }
    let (_, warned) = said(dir, &["log", "--where", "data.repositroy == 'dev/web'"], 0);
    assert!(
        warned.contains("--where reads `data.repositroy`, which no event of Weir's types has; did you mean `repository`?"),
        "{warned}"
    );
    let (_, warned) = said(
        dir,
        &["log", "--where", "has(data.resolved) || has(data.size)"],
        0,
    );
    assert_eq!(warned, "");
    for (kind, is_none) in [("nope", true), ("nope.*", true), ("hold.*", false)] {
        let question = ["log", "--type", kind, "--actor", "nobody", "--count"];
        let (_, hint) = said(dir, &question, 0);
        let expected = format!("hint: there is no type `{kind}`");
        assert_eq!(hint.contains(&expected), is_none, "{hint}");
        let (_, hint) = said(dir, &["log", "--type", kind, "--actor", "nobody"], 0);
        assert_eq!(hint.contains(&expected), is_none, "{hint}");
    }
    let scans = ["log", "--type", "scan.completed", "--by", "repository"];
    let (_, hint) = said(dir, &scans, 0);
    assert!(hint.contains("none says a repository"), "{hint}");
    let (heading, _) = said(dir, &["log", "--app", "dev/none:1.0", "--output", "csv"], 2);
    assert_eq!(heading, "", "of a question that is wrong");
    told(&["log", "--where", "seq + 1"], &["where:1:"]);
    told(&["log", "--where", "data.x && ("], &["where:1:1"]);
    told(
        &["log", "--repository", "dev/*,Prod/x"],
        &["repository:1:7: ", "      ^"],
    );
    told(
        &["log", "--verdict", "blocked"],
        &["`blocked` is no verdict; did you mean `block`?"],
    );
    told(
        &["log", "--reason", "scan-mising"],
        &["`scan-mising` is no reason code", "`scan-missing`"],
    );
    told(
        &["log", "--type", "decision.mad"],
        &["`decision.mad`", "`weir.decision.made`"],
    );
    told(
        &["log", "--digest", "sha256:12"],
        &["`sha256:12` is no digest", "first eight"],
    );
    told(
        &["log", "--since", "yesterday"],
        &["`since` is `yesterday`", "`7d`"],
    );
    told(
        &["log", "--app", "dev/none:1.0"],
        &["no tag `dev/none:1.0` was ever recorded"],
    );
    told(
        &["log", "--app", "dev/web"],
        &["`dev/web` is no application", "`repository:tag`"],
    );
    told(&["log", "--cursor", "abc"], &["the cursor is not good"]);
    told(
        &["log", "--by", "actr"],
        &["cannot count by `actr`; did you mean `actor`?"],
    );
    told(&["log", "--follow"], &["--follow needs a running daemon"]);
    told(&["log", "--limit", "0"], &["0 is not in 1.."]);
    told(&["history", "dev/web"], &["`dev/web` names no tag"]);
    told(
        &["history", "dev/none:1.0"],
        &["no tag `dev/none:1.0` was ever recorded"],
    );
    told(
        &["lineage", "ffffffffff"],
        &["no digest `ffffffffff` was ever recorded"],
    );
    told(
        &["show", "dev/web:1.0", "--at", "99999999"],
        &["there is no record 99999999"],
    );
    told(
        &["show", "dev/web:1.0", "--at", "2100-01-01"],
        &["`at` is `2100-01-01`, which is still to come"],
    );
    told(
        &["show", "dev/web:1.0", "--at", "soon"],
        &["`at` is `soon`"],
    );
    told(
        &["overrides", "--expiring", "soon"],
        &["`soon` is no duration", "14d"],
    );
    told(&["list", "dev//x"], &["repository:1:5: empty path part"]);
}
