//! Reconciling on a real registry that tells nothing: what it did in silence is found, shown, and
//! recorded when so wished.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use support::{
    app,
    daemon::Daemon,
    proxy::{Fault, Proxy},
    registry::{Registry, delete_manifest, quiet},
    stub::{Reply, Stub},
};
use weir_engine::oci::{Client, RegistryConfig};
use weir_schema::Digest;

const RULE: &str = "//! from: team/*\n//! to: production/{1}\n//! scan: not-required\n\nfalse\n";

struct Scene {
    registry: Registry,
    client: Client,
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let registry = Registry::start();
        let config = RegistryConfig {
            insecure: true,
            ..quiet()
        };
        let client = Client::new(&registry.host(), &config).unwrap();
        Self {
            registry,
            client,
            directory: tempfile::TempDir::new().unwrap(),
        }
    }

    async fn daemon(&self, at_start: bool) -> Daemon {
        self.daemon_of(&self.registry.host(), at_start).await
    }

    async fn daemon_of(&self, host: &str, at_start: bool) -> Daemon {
        self.daemon_with(host, at_start, "").await
    }

    async fn daemon_with(&self, host: &str, at_start: bool, more: &str) -> Daemon {
        let rules = self.directory.path().join("rules");
        std::fs::create_dir_all(&rules).unwrap();
        std::fs::write(rules.join("to-production.cel"), RULE).unwrap();
        let config = format!(
            "rules = \"{}\"\ndefault_registry = \"{host}\"\n[registries.\"{host}\"]\ninsecure = true\nmax_attempts = 1\n[reconcile]\nat_start = {at_start}\n{more}",
            rules.display()
        );
        Daemon::start(self.directory.path(), &config, "").await
    }
}

/// Drift as `weir reconcile --output json` prints it, each as a line, and the exit code.
fn reconcile(daemon: &Daemon, confirm: bool) -> (Vec<String>, i32) {
    let mut arguments = vec!["reconcile", "--output", "json"];
    arguments.extend(confirm.then_some("--confirm"));
    let done = daemon.weir(&arguments);
    let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
    let code = done.status.code().unwrap();
    let found: Value =
        serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {complaint}"));
    let lines = found["drift"].as_array().unwrap().iter().map(|one| {
        let text = |name: &str| one[name].as_str().unwrap_or_default();
        let tag = match text("tag") {
            "" => String::new(),
            tag => format!(":{tag}"),
        };
        format!("{} {}{tag}", text("drift"), text("repository"))
    });
    (lines.collect(), code)
}

fn digest_of(tags: &Value, repository: &str, tag: &str) -> Option<String> {
    let all = tags.as_array()?.iter();
    let mut found = all.filter(|one| one["repository"] == repository && one["tag"] == tag);
    Some(found.next()?["digest"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_holds_already_is_known_after_the_start() {
    let scene = Scene::new();
    let application = app::application("shop", &["web"], &[]);
    let digest = application
        .push(&scene.client, "team/shop", Some("1.0"))
        .await;
    // What a cache of another registry is called, in this one.
    let cached = app::image("alpine", "amd64", &[]);
    let cached = cached
        .push(&scene.client, "docker.io/library/alpine", Some("3"))
        .await;
    let of_cache = format!("{}/docker.io/library/alpine", scene.registry.host());
    let daemon = scene.daemon(true).await;
    let known = daemon
        .until("/v1/tags", |tags| {
            digest_of(tags, "team/shop", "1.0").is_some()
                && digest_of(tags, &of_cache, "3").is_some()
        })
        .await;
    assert_eq!(digest_of(&known, &of_cache, "3"), Some(cached.to_string()));
    assert_eq!(
        digest_of(&known, "team/shop", "1.0"),
        Some(digest.to_string())
    );
    daemon
        .until("/v1/tags", |tags| {
            let mut all = tags.as_array().unwrap().iter();
            let shop = all.find(|one| one["repository"] == "team/shop").unwrap();
            shop["images"].as_array().is_some_and(|all| all.len() == 4)
        })
        .await;
    assert_eq!(reconcile(&daemon, false), (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_what_a_registry_did_in_silence_is_shown_first_and_recorded_when_confirmed() {
    let scene = Scene::new();
    let daemon = scene.daemon(false).await;
    let client = &scene.client;
    let application = app::application("shop", &["web"], &[]);
    let digest = application.push(client, "team/shop", Some("1.0")).await;
    let old = app::image("old", "amd64", &[]);
    old.push(client, "team/other", Some("1")).await;

    // A dry run shows and changes nothing.
    let there = vec![
        "pushed team/other:1".to_owned(),
        "pushed team/shop:1.0".to_owned(),
    ];
    assert_eq!(reconcile(&daemon, false), (there.clone(), 0));
    assert_eq!(daemon.get("/v1/tags").await, json!([]));
    assert_eq!(reconcile(&daemon, true), (there, 0));
    daemon
        .until("/v1/tags?repository=team/shop", |tags| {
            tags[0]["images"]
                .as_array()
                .is_some_and(|all| all.len() == 4)
        })
        .await;
    assert_eq!(reconcile(&daemon, true), (Vec::new(), 0));

    // A tag that moved without a word.
    let new = app::image("new", "amd64", &[]);
    let moved = new.push(client, "team/other", Some("1")).await;
    assert_eq!(
        reconcile(&daemon, true),
        (vec!["pushed team/other:1".into()], 0)
    );
    let tags = daemon.get("/v1/tags").await;
    assert_eq!(digest_of(&tags, "team/other", "1"), Some(moved.to_string()));

    // A child that was collected: the application's index still answers.
    let tags = daemon.get("/v1/tags?repository=team/shop").await;
    let child: Digest = tags[0]["images"][0]["digest"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(delete_manifest(&scene.registry.host(), "team/shop", &child).await);
    let gone = vec!["manifest-deleted team/shop".to_owned()];
    assert_eq!(reconcile(&daemon, false), (gone.clone(), 0));
    assert_eq!(reconcile(&daemon, true), (gone, 0));
    assert_eq!(reconcile(&daemon, true), (Vec::new(), 0));
    let why = daemon
        .until("/v1/why?repository=team/shop&tag=1.0", |why| {
            why[0]["verdict"] == "block"
        })
        .await;
    let reasons = why[0]["reasons"].to_string();
    assert!(
        reasons.contains("manifest-deleted") && reasons.contains(&child.to_string()),
        "{reasons}"
    );

    // A whole application that is gone.
    assert!(delete_manifest(&scene.registry.host(), "team/shop", &digest).await);
    assert_eq!(
        reconcile(&daemon, true),
        (vec!["tag-deleted team/shop:1.0".into()], 0)
    );
    assert_eq!(daemon.get("/v1/tags?repository=team/shop").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_answer_has_deleted_nothing() {
    let scene = Scene::new();
    let image = app::image("web", "amd64", &[]);
    image.push(&scene.client, "team/web", Some("1")).await;
    let daemon = scene.daemon(true).await;
    let known = |tags: &Value| digest_of(tags, "team/web", "1").is_some();
    daemon.until("/v1/tags", known).await;
    let Scene { registry, .. } = scene;
    drop(registry);
    assert_eq!(reconcile(&daemon, true), (Vec::new(), 3));
    assert!(known(&daemon.get("/v1/tags").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_does_not_find_is_not_gone() {
    let scene = Scene::new();
    let application = app::application("shop", &["web"], &[]);
    application
        .push(&scene.client, "team/shop", Some("1.0"))
        .await;
    let image = app::image("web", "amd64", &[]);
    image.push(&scene.client, "team/web", Some("1")).await;
    // A path of the registry that leads nowhere for a while, and the one that goes on.
    let lost = Arc::new(AtomicBool::new(false));
    let proxy = {
        let lost = Arc::clone(&lost);
        Proxy::before(scene.registry.address(), move |request| {
            let is_lost = lost.load(Ordering::SeqCst) && request.path.starts_with("/v2/team/shop/");
            match is_lost && request.path.contains("/manifests/") {
                true => Fault::Answer("404 Not Found"),
                false => Fault::None,
            }
        })
        .await
    };
    let daemon = scene.daemon_of(&proxy.host(), true).await;
    let known = daemon
        .until("/v1/tags", |tags| {
            let mut all = tags.as_array().unwrap().iter();
            let shop = all.find(|one| one["repository"] == "team/shop");
            shop.is_some_and(|shop| shop["images"].as_array().is_some_and(|all| all.len() == 4))
        })
        .await;
    lost.store(true, Ordering::SeqCst);
    assert_eq!(reconcile(&daemon, true), (Vec::new(), 3));
    let told = daemon.weir(&["reconcile", "--output", "json"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    for expected in ["team/shop:1.0: answered 404", "team/shop@sha256:"] {
        assert!(told.contains(expected), "no `{expected}` in {told}");
    }
    assert_eq!(daemon.get("/v1/tags").await, known);
    lost.store(false, Ordering::SeqCst);
    assert_eq!(reconcile(&daemon, true), (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_error_codes_is_believed_by_its_list_of_tags() {
    let scene = Scene::new();
    let digest = |tag: &str| Digest::of(tag.as_bytes());
    let there = digest("there").to_string();
    // Two tags of three are listed, and one of them is found.
    let stub = Stub::start(move |request| match &*request.path {
        "/v2/" => Reply::status(200),
        "/v2/_catalog?n=1000" => Reply::status(200).body(r#"{"repositories": ["team/web"]}"#),
        "/v2/team/web/tags/list?n=1000" => {
            Reply::status(200).body(r#"{"tags": ["there", "listed"]}"#)
        }
        "/v2/team/web/manifests/there" => {
            Reply::status(200).header("docker-content-digest", &there)
        }
        _ => Reply::status(404),
    })
    .await;
    let daemon = scene.daemon_of(&stub.host(), false).await;
    let push = |tag: &str| {
        json!({"specversion": "1.0", "id": tag, "source": "/test", "type": "weir.image.pushed",
            "data": {"repository": "team/web", "tag": tag, "digest": digest(tag), "media_type": "application/vnd.oci.image.manifest.v1+json"}})
    };
    daemon.say(&["there", "listed", "gone"].map(push)).await;
    daemon
        .until("/v1/tags", |tags| tags.as_array().unwrap().len() == 3)
        .await;
    let gone = vec!["tag-deleted team/web:gone".to_owned()];
    assert_eq!(reconcile(&daemon, true), (gone, 3));
    let tags = daemon
        .until("/v1/tags", |tags| tags.as_array().unwrap().len() == 2)
        .await;
    assert!(digest_of(&tags, "team/web", "listed").is_some(), "{tags}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_when_the_daemon_starts_is_looked_at_when_it_is_back() {
    let scene = Scene::new();
    let image = app::image("web", "amd64", &[]);
    image.push(&scene.client, "team/web", Some("1")).await;
    let away = Arc::new(AtomicBool::new(true));
    let proxy = {
        let away = Arc::clone(&away);
        Proxy::before(scene.registry.address(), move |_| {
            match away.load(Ordering::SeqCst) {
                true => Fault::Answer("503 Service Unavailable"),
                false => Fault::None,
            }
        })
        .await
    };
    let daemon = scene.daemon_of(&proxy.host(), true).await;
    // A tag that nobody can resolve just now is found when it can be.
    let pushed = json!({"repository": "team/web", "docker_url": format!("{}/team/web", proxy.host()), "updated_tags": ["1"]});
    let path = "/v1/intake/quay?source=dev";
    assert_eq!(daemon.post(path, pushed.to_string()).await, 202);
    assert_eq!(daemon.get("/v1/tags").await, json!([]));
    away.store(false, Ordering::SeqCst);
    daemon
        .until("/v1/tags", |tags| {
            digest_of(tags, "team/web", "1").is_some()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_harbors_retention_deleted_is_found_by_looking() {
    let scene = Scene::new();
    let image = app::image("web", "amd64", &[]);
    let other = app::image("other", "amd64", &[]);
    let digest = image.push(&scene.client, "team/web", Some("1")).await;
    other.push(&scene.client, "team/web", Some("2")).await;
    let daemon = scene.daemon(true).await;
    daemon
        .until("/v1/tags", |tags| {
            tags.as_array().is_some_and(|all| all.len() == 2)
        })
        .await;
    assert!(delete_manifest(&scene.registry.host(), "team/web", &digest).await);
    // The event names no tag: it deleted an artifact without one last.
    let event = json!({"type": "TAG_RETENTION", "occur_at": 1, "operator": "MANUAL", "event_data": {"retention": {
        "project_name": "team", "result": "SUCCESS", "deleted_artifact": [{"type": "image", "status": "SUCCESS"}]}}});
    let path = "/v1/intake/harbor?source=dev";
    assert_eq!(daemon.post(path, event.to_string()).await, 202);
    daemon
        .until("/v1/tags", |tags| {
            tags.as_array().is_some_and(|all| all.len() == 1)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_was_started_anew_is_looked_at_since_it_lost_what_it_had_to_tell() {
    let scene = Scene::new();
    let daemon = scene.daemon(false).await;
    let image = app::image("web", "amd64", &[]);
    image.push(&scene.client, "team/web", Some("1")).await;
    let notify = |instance: &str| {
        json!({"events": [{"id": instance, "action": "pull", "target": {"digest": image.digest(), "repository": "team/web"},
               "source": {"addr": "r:5000", "instanceID": instance}}]})
        .to_string()
    };
    for (instance, known) in [("first", false), ("first", false), ("second", true)] {
        let path = "/v1/intake/distribution?source=dev";
        assert_eq!(daemon.post(path, notify(instance)).await, 202);
        if known {
            daemon
                .until("/v1/tags", |tags| {
                    digest_of(tags, "team/web", "1").is_some()
                })
                .await;
        } else {
            assert_eq!(daemon.get("/v1/tags").await, json!([]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_in_silence_is_told_in_the_order_in_which_it_was_made() {
    let scene = Scene::new();
    // By their names 1.10.0 would come first, and 2.0.0 last.
    for (tag, created) in [
        ("1.10.0", "2024-01-02T00:00:00Z"),
        ("1.9.0", "2024-01-01T00:00:00Z"),
        ("2.0.0", "2023-12-31T23:00:00Z"),
    ] {
        let image = app::image_made(tag, "amd64", &[], created);
        image.push(&scene.client, "team/web", Some(tag)).await;
    }
    // Builds that can be made again have all one time: then numbers count by their value.
    for tag in ["1.10.0", "1.9.0"] {
        let image = app::image_made(tag, "amd64", &[], "1970-01-01T00:00:00Z");
        image.push(&scene.client, "team/same", Some(tag)).await;
    }
    let daemon = scene.daemon(false).await;
    let expected = [
        "team/same:1.9.0",
        "team/same:1.10.0",
        "team/web:2.0.0",
        "team/web:1.9.0",
        "team/web:1.10.0",
    ];
    let expected: Vec<String> = expected.iter().map(|tag| format!("pushed {tag}")).collect();
    assert_eq!(reconcile(&daemon, true), (expected.clone(), 0));
    let pushes = daemon
        .until("/v1/events?type=image.pushed", |page| {
            page["events"].as_array().is_some_and(|all| all.len() == 5)
        })
        .await;
    let pushes = pushes["events"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let recorded = pushes.map(|record| {
        let data = &record["event"]["data"];
        format!(
            "pushed {}:{}",
            text(&data["repository"]),
            text(&data["tag"])
        )
    });
    assert_eq!(recorded.collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_lost_all_it_had_has_deleted_nothing_unless_somebody_says_so() {
    let scene = Scene::new();
    let daemon = scene.daemon(true).await;
    let push = |tag: &str| {
        json!({"specversion": "1.0", "id": tag, "source": "/test", "type": "weir.image.pushed",
            "data": {"repository": "team/web", "tag": tag, "digest": Digest::of(tag.as_bytes()), "media_type": "application/vnd.oci.image.manifest.v1+json"}})
    };
    // Known, and not there: as after a start with an empty volume.
    daemon.say(&["1.0", "1.1"].map(push)).await;
    daemon
        .until("/v1/tags", |tags| tags.as_array().unwrap().len() == 2)
        .await;
    drop(daemon);
    let daemon = scene.daemon(true).await;
    daemon.says("has none of the 2 tags that are known").await;
    assert_eq!(daemon.get("/v1/tags").await.as_array().unwrap().len(), 2);
    let gone = vec![
        "tag-deleted team/web:1.0".to_owned(),
        "tag-deleted team/web:1.1".to_owned(),
    ];
    assert_eq!(reconcile(&daemon, true), (gone, 0));
    daemon
        .until("/v1/tags", |tags| tags.as_array().unwrap().is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_within_an_application_and_pushed_again_in_silence_is_there_again() {
    let scene = Scene::new();
    let application = app::application("shop", &["web"], &[]);
    let push = || application.push(&scene.client, "team/shop", Some("1.0"));
    push().await;
    let daemon = scene.daemon(true).await;
    let path = "/v1/tags?repository=team/shop";
    let has_images = |tags: &Value| {
        let images = tags[0]["images"].as_array();
        images.is_some_and(|all| all.len() == 4)
    };
    let tags = daemon.until(path, has_images).await;
    let child = tags[0]["images"][0]["digest"].as_str().unwrap();
    let child: Digest = child.parse().unwrap();
    assert!(delete_manifest(&scene.registry.host(), "team/shop", &child).await);
    let lacks_it = |why: &Value| why.to_string().contains("manifest-deleted");
    let why = "/v1/why?repository=team/shop&tag=1.0";
    let gone = vec!["manifest-deleted team/shop".to_owned()];
    assert_eq!(reconcile(&daemon, true), (gone, 0));
    daemon.until(why, lacks_it).await;

    push().await;
    let back = vec!["pushed team/shop".to_owned()];
    assert_eq!(reconcile(&daemon, false), (back.clone(), 0));
    assert_eq!(reconcile(&daemon, true), (back, 0));
    daemon.until(why, |why| !lacks_it(why)).await;
    assert_eq!(reconcile(&daemon, true), (Vec::new(), 0));
    let events = daemon.get("/v1/events?type=image.pushed").await;
    let last = events["events"].as_array().unwrap().last().unwrap();
    let data = &last["event"]["data"];
    assert_eq!(data["digest"], json!(child));
    assert_eq!(data["found_at_registry"], true, "{data}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_while_a_registry_answers_is_newer_than_its_answer() {
    let scene = Scene::new();
    let digest = |text: &str| Digest::of(text.as_bytes());
    let [image, index] =
        ["manifest", "index"].map(|kind| format!("application/vnd.oci.image.{kind}.v1+json"));
    let is_slow = Arc::new(AtomicBool::new(false));
    let stub = {
        let is_slow = Arc::clone(&is_slow);
        Stub::start(move |request| {
            let name = request.path.rsplit('/').next().unwrap_or_default();
            let at = |text: &str| {
                Reply::status(200).header("docker-content-digest", &digest(text).to_string())
            };
            let reply = match &*request.path {
                "/v2/" => return Reply::status(200),
                "/v2/_catalog?n=1000" => return Reply::status(200).body(r#"{"repositories": []}"#),
                "/v2/team/web/tags/list?n=1000" => {
                    return Reply::status(200).body(r#"{"tags": []}"#);
                }
                _ if name.starts_with("app-") => at(name),
                _ if matches!(name, "moved" | "back") => at("b"),
                _ => Reply::status(404).body(r#"{"errors": [{"code": "MANIFEST_UNKNOWN"}]}"#),
            };
            match is_slow.load(Ordering::SeqCst) {
                true => reply.after(Duration::from_secs(1)),
                false => reply,
            }
        })
        .await
    };
    let daemon = scene.daemon_of(&stub.host(), false).await;
    let event = |id: &str, data: Value| json!({"specversion": "1.0", "id": id, "source": "/test", "type": "weir.image.pushed", "data": data});
    let push = |id: &str, tag: &str, what: &str| {
        event(
            id,
            json!({"repository": "team/web", "tag": tag, "digest": digest(what), "media_type": image}),
        )
    };
    let child = |app: &str| digest(&format!("in {app}"));
    let push_app = |id: &str, app: &str| {
        let child = json!({"media_type": image, "digest": child(app), "platform": {"os": "linux", "architecture": "amd64"}});
        event(
            id,
            json!({"repository": "team/web", "tag": app, "digest": digest(app), "media_type": index, "manifests": [child]}),
        )
    };
    let before = [
        push("1", "moved", "a"),
        push("2", "back", "a"),
        push("3", "gone", "a"),
        push("4", "again", "a"),
        push_app("5", "app-lost"),
        push_app("6", "app-told"),
        push_app("7", "app-proved"),
    ];
    daemon.say(&before).await;
    daemon
        .until("/v1/tags", |tags| tags.as_array().unwrap().len() == 7)
        .await;
    let alone = json!({"repository": "team/web", "digest": child("app-told"), "media_type": image});
    let meanwhile = [
        push("8", "back", "b"),
        push("9", "back", "a"),
        push("10", "again", "a"),
        event("11", alone),
        push_app("12", "app-proved"),
    ];
    is_slow.store(true, Ordering::SeqCst);
    let tell = async {
        while !stub
            .seen()
            .iter()
            .any(|request| request.path.ends_with("/moved"))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        daemon.say(&meanwhile).await;
    };
    let look = daemon.post("/v1/reconcile?confirm=true", String::new());
    let (status, ()) = tokio::join!(look, tell);
    assert_eq!(status, 200);
    let page = daemon.get("/v1/events?limit=1000").await;
    let events = page["events"].as_array().unwrap().iter();
    let events = events.map(|record| &record["event"]);
    let found = events.filter(|event| event["id"].as_str().unwrap().starts_with("reconciled-"));
    let found = found.map(|event| {
        let data = &event["data"];
        let what = data["tag"].as_str().or(data["digest"].as_str());
        format!("{} {}", event["type"].as_str().unwrap(), what.unwrap())
    });
    let lost = format!("weir.manifest.deleted {}", child("app-lost"));
    assert_eq!(
        found.collect::<Vec<_>>(),
        ["weir.image.pushed moved", "weir.tag.deleted gone", &lost]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_the_registry_cannot_answer_for_hides_no_other() {
    let scene = Scene::new();
    let image = app::image("web", "amd64", &[]);
    for tag in ["1.0", "broken"] {
        image.push(&scene.client, "team/web", Some(tag)).await;
    }
    let proxy = Proxy::before(scene.registry.address(), |request| {
        match request.path.ends_with("/manifests/broken") {
            true => Fault::Answer("500 Internal Server Error"),
            false => Fault::None,
        }
    })
    .await;
    let daemon = scene.daemon_of(&proxy.host(), false).await;
    let there = vec!["pushed team/web:1.0".to_owned()];
    assert_eq!(reconcile(&daemon, true), (there, 3));
    let told = daemon.weir(&["reconcile"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    let problem = "not compared: team/web:broken: ";
    assert!(told.contains(problem) && told.contains("500"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_copying_to_others_looks_at_registries_and_asks_for_scans() {
    let scene = Scene::new();
    let image = app::image("web", "amd64", &[]);
    let digest = image.push(&scene.client, "team/web", Some("1.0")).await;
    let more = "[promotions]\nexecute = false\n[scans]\nrequest = true\n";
    let daemon = scene.daemon_with(&scene.registry.host(), true, more).await;
    let asked = daemon
        .until("/v1/events?type=weir.scan.requested", |asked| {
            asked["events"][0].is_object()
        })
        .await;
    let data = &asked["events"][0]["event"]["data"];
    assert_eq!(data["digest"], json!(digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answers_for_is_not_told_as_reconciled() {
    let directory = tempfile::TempDir::new().unwrap();
    // Nobody listens at that port.
    let config = "default_registry = \"127.0.0.1:1\"\n[registries.\"127.0.0.1:1\"]\ninsecure = true\nmax_attempts = 1\n[reconcile]\nat_start = true\n";
    let daemon = Daemon::start(directory.path(), config, "").await;
    let asks = "not reconciled: ";
    daemon.says(asks).await;
    // It is told again when it is asked again.
    while daemon.log().matches(asks).count() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        !daemon.log().contains("reconciled tags="),
        "{}",
        daemon.log()
    );
}
