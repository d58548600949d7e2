//! The web page: what is served of it and to whom, that it cannot be made to run what it shows, and,
//! where there is a browser, that it says why a tag waits.

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/daemon.rs"]
mod daemon;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    time::Instant,
};

use daemon::{Daemon, PATIENCE};
use reqwest::Response;
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_schema::Digest;

/// The files of the page by their addresses.
fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/page");
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        let address = match &*name {
            "index.html" => "/".to_owned(),
            _ => format!("/page/{name}"),
        };
        (address, text)
    });
    files.collect()
}

/// The addresses that a file names: scripts and styles in the markup, and what modules import.
fn named(text: &str) -> impl Iterator<Item = String> {
    let after = |mark: &'static str| {
        let found = text.match_indices(mark);
        found.filter_map(move |(place, _)| {
            let name = &text[place + mark.len()..];
            Some(format!("/page/{}", name.split_once('"')?.0))
        })
    };
    let in_markup = after("src=\"page/").chain(after("href=\"page/"));
    in_markup
        .chain(after("from \"./"))
        .collect::<Vec<_>>()
        .into_iter()
}

async fn get(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = daemon.client().get(format!("{}{path}", daemon.url()));
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_served_with_its_type_and_what_keeps_it_safe() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "", "").await;
    for (path, text) in files() {
        let answer = get(&daemon, &path, &[]).await;
        assert_eq!(answer.status(), 200, "{path}");
        let extension = path.rsplit_once('.').map_or("html", |(_, end)| end);
        let media_type = match extension {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            other => panic!("what type is {other}?"),
        };
        for (name, value) in [
            ("content-type", media_type),
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(answer.headers()[name], value, "{path}");
        }
        assert_eq!(answer.text().await.unwrap(), text, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_served_and_requests_are_counted() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "", "").await;
    for path in [
        "/index.html",
        "/page",
        "/page/",
        "/page/index.html",
        "/page/none.js",
        "/page/..%2fpage.rs",
        "/page/main.js/",
    ] {
        assert_eq!(get(&daemon, path, &[]).await.status(), 404, "{path}");
    }
    get(&daemon, "/", &[]).await;
    get(&daemon, "/page/main.js", &[]).await;
    assert_eq!(daemon.post("/", String::new()).await, 405);
    let counters = get(&daemon, "/metrics", &[]).await.text().await.unwrap();
    for line in [
        r#"weir_http_requests_total{route="/",status="200"} 1"#,
        r#"weir_http_requests_total{route="/page",status="200"} 1"#,
        r#"weir_http_requests_total{route="/page",status="404"} 6"#,
    ] {
        assert!(counters.lines().any(|found| found == line), "{counters}");
    }
}

#[test]
fn every_file_that_is_named_is_there_and_every_file_is_named() {
    let files = files();
    let all: BTreeSet<String> = files.values().flat_map(|text| named(text)).collect();
    let mut there: BTreeSet<String> = files.into_keys().collect();
    there.remove("/");
    assert_eq!(all, there);
}

#[test]
fn nothing_of_the_page_names_another_host() {
    for (path, text) in files() {
        for mark in ["://", "\"//", "'//", "url(", "@import"] {
            assert!(!text.contains(mark), "{path} has {mark}");
        }
    }
}

#[test]
fn what_is_shown_is_never_taken_for_markup_or_code() {
    for (path, text) in files() {
        for mark in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "createContextualFragment",
            "DOMParser",
            "srcdoc",
            "setHTML",
            "eval(",
            "Function(",
            "style=",
            "javascript:",
            " onclick=",
            " onload=",
        ] {
            assert!(!text.contains(mark), "{path} has {mark}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_the_page_is_open_and_what_it_asks_for_is_not() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "", "token = \"sesame\"").await;
    for path in files().keys() {
        assert_eq!(get(&daemon, path, &[]).await.status(), 200, "{path}");
    }
    // Behind a proxy it has another name, and a token besides.
    let elsewhere = get(&daemon, "/", &[("host", "weir.example")]).await;
    assert_eq!(elsewhere.status(), 200);
    assert_eq!(get(&daemon, "/page/none.js", &[]).await.status(), 404);
    assert_eq!(get(&daemon, "/v1/status", &[]).await.status(), 401);
    let carried = [("authorization", "Bearer sesame")];
    assert_eq!(get(&daemon, "/v1/status", &carried).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_the_page_is_for_this_machine_alone() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "", "").await;
    for path in ["/", "/page/main.js"] {
        for foreign in [("host", "weir.example"), ("origin", "null")] {
            let answer = get(&daemon, path, &[foreign]).await;
            assert_eq!(answer.status(), 403, "{path} {foreign:?}");
        }
    }
}

const RULE: &str =
    "//! rule: to-production\n//! from: team/*\n//! to: production/{1}\n\nscan.critical == 0\n";

fn event(id: &str, kind: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/tests", "type": kind, "data": data})
}

/// A daemon with these rules in force.
async fn under_rules(directory: &Path, texts: &[&str]) -> Daemon {
    let rules = directory.join("rules");
    fs::create_dir_all(&rules).unwrap();
    for (number, text) in texts.iter().enumerate() {
        fs::write(rules.join(format!("{number}.cel")), text).unwrap();
    }
    let config = format!("rules = \"{}\"\n", rules.display());
    Daemon::start(directory, &config, "").await
}

/// What a browser makes of an address, as markup; `None` if there is no browser.
fn browsed(directory: &Path, address: &str) -> Option<String> {
    let begun = Command::new("chromium").arg("--version").output();
    if !begun.is_ok_and(|done| done.status.success()) {
        eprintln!("SKIPPED: no chromium on the PATH (`apt-get install chromium`)");
        return None;
    }
    let profile = format!("--user-data-dir={}", directory.join("browser").display());
    let done = Command::new("timeout")
        .args([&PATIENCE.as_secs().to_string(), "chromium"])
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--virtual-time-budget=10000", &profile, address])
        .output()
        .unwrap();
    Some(String::from_utf8(done.stdout).unwrap())
}

/// What a browser makes of an address once all that is expected is there. `None` if there is none.
fn seen(directory: &Path, address: &str, expected: &[String]) -> Option<String> {
    let began = Instant::now();
    loop {
        let seen = browsed(directory, address)?;
        if expected.iter().all(|part| seen.contains(part)) {
            return Some(seen);
        }
        assert!(began.elapsed() < PATIENCE, "{expected:?} is not in\n{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_a_tag_names_the_image_whose_scan_is_missing() {
    let directory = TempDir::new().unwrap();
    let daemon = under_rules(directory.path(), &[RULE]).await;

    let [app, web, db] = ["app", "web", "db"].map(|name| Digest::of(name.as_bytes()));
    let component = |name: &str, digest: &Digest| {
        json!({
            "digest": digest, "size": 500, "media_type": "application/vnd.oci.image.manifest.v1+json",
            "annotations": {"io.cnab.manifest.type": "component", "io.cnab.component.name": name},
        })
    };
    // What people write comes as text, whatever it looks like.
    let actor = "<b>ann</b>";
    let pushed = json!({
        "repository": "team/shop", "tag": "1.0", "digest": app, "actor": actor,
        "media_type": "application/vnd.oci.image.index.v1+json", "annotations": {"io.docker.type": "app"},
        "manifests": [component("web", &web), component("db", &db)],
    });
    let scanned = json!({"digest": web, "scanner": {"name": "trivy"}, "findings": []});
    daemon
        .say(&[
            event("1", "weir.image.pushed", pushed),
            event("2", "weir.scan.completed", scanned),
        ])
        .await;

    let address = format!("{}/#/tag?repository=team%2Fshop&tag=1.0", daemon.url());
    let expected = [
        "<h1>team/shop:1.0</h1>".to_owned(),
        format!("a completed scan of db {db}"),
        "<b>scan-missing</b> db".to_owned(),
        "&lt;b&gt;ann&lt;/b&gt;".to_owned(),
    ];
    let seen = seen(directory.path(), &address, &expected);
    let of_scanned = format!("scan of web {web}");
    assert!(!seen.is_some_and(|seen| seen.contains(&of_scanned)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_seen_in_a_name_is_shown_and_its_command_can_be_read() {
    let directory = TempDir::new().unwrap();
    let daemon = under_rules(directory.path(), &[RULE]).await;
    let web = Digest::of(b"web");
    let pushed = json!({
        "repository": "team/web", "tag": "1.0", "digest": web,
        "media_type": "application/vnd.oci.image.manifest.v1+json",
    });
    let scanned = json!({"digest": web, "scanner": {"name": "trivy"}, "findings": []});
    let hold = |id: &str| json!({"hold_id": id, "actor": "ann", "reason": "r"});
    daemon
        .say(&[
            event("1", "weir.hold.placed", hold("-freeze")),
            event("2", "weir.hold.placed", hold("a\u{202e}b")),
            event("3", "weir.image.pushed", pushed),
            event("4", "weir.scan.completed", scanned),
        ])
        .await;
    let address = format!("{}/#/tag?repository=team%2Fweb&tag=1.0", daemon.url());
    let expected = [
        "<code>weir release -- -freeze</code>".to_owned(),
        "End the hold a\u{fffd}b".to_owned(),
        "<code>weir release $'a\\u202eb'</code>".to_owned(),
    ];
    let seen = seen(directory.path(), &address, &expected);
    assert!(!seen.is_some_and(|seen| seen.contains('\u{202e}')));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_a_promoted_tag_tells_what_objects_since() {
    let directory = TempDir::new().unwrap();
    let deny = "//! rule: known-exploited\n//! kind: deny\n//! class: image\n//! about: what is exploited stays out\n//! owner: security\n//! message: ask security\n\nscan.critical > 0\n";
    let daemon = under_rules(directory.path(), &[RULE, deny]).await;

    let web = Digest::of(b"web");
    let pushed = json!({
        "repository": "team/web", "tag": "1.0", "digest": web,
        "media_type": "application/vnd.oci.image.manifest.v1+json",
    });
    let scanned = |findings: Value| json!({"digest": web, "scanner": {"name": "trivy"}, "findings": findings});
    let found = json!([{"id": "CVE-1", "severity": "CRITICAL"}]);
    daemon
        .say(&[
            event("1", "weir.image.pushed", pushed),
            event("2", "weir.scan.completed", scanned(json!([]))),
            event("3", "weir.scan.completed", scanned(found)),
        ])
        .await;

    let address = format!("{}/#/tag?repository=team%2Fweb&tag=1.0", daemon.url());
    let expected = [
        "It would not pass any more, as what follows tells.".to_owned(),
        ">What the decision saw</a>".to_owned(),
        "<dt>Message</dt><dd>ask security</dd>".to_owned(),
        "<dt>About</dt><dd>what is exploited stays out</dd>".to_owned(),
        "<dt>Owner</dt><dd>security</dd>".to_owned(),
    ];
    seen(directory.path(), &address, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_the_page_asks_for_it() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "", "token = \"sesame\"").await;
    let expected = ["<h1>A token is needed</h1>".to_owned()];
    seen(directory.path(), daemon.url(), &expected);
}
