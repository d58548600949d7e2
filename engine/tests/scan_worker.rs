//! Scans that Weir asks for, done by workers: with a real registry, a real NATS and a script that
//! reports as Trivy does.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
mod support;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nats::Nats;
use serde_json::{Value, json};
use support::{
    app,
    daemon::Daemon,
    registry::{Registry, quiet},
};
use weir_engine::oci::{Client, Reference, RegistryConfig, fallback_tag};
use weir_schema::Digest;

const RULE: &str = "//! rule: to-production\n//! from: team/*\n//! to: production/{1}\n//! class: app\n\nscan.critical == 0\n";

/// Ends with code 1 like a scanner that was told to by what it found: only the report tells.
const SCANNER: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$1" >> "$here/asked"
if [ -e "$here/broken" ]; then
  echo "FATAL: the database is locked" >&2
  exit 1
fi
cat <<REPORT
{"SchemaVersion": 2, "ArtifactName": "$1", "ArtifactType": "container_image", "Metadata": {"OS": {"Family": "debian", "Name": "12"}},
 "Results": [{"Target": "debian", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [
   {"VulnerabilityID": "CVE-2099-0001", "PkgName": "zlib", "InstalledVersion": "1", "Severity": "LOW"}]}]}
REPORT
exit 1
"#;

struct Scene {
    nats: Nats,
    registry: Registry,
    client: Client,
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Option<Self> {
        let nats = Nats::start()?;
        let registry = Registry::start();
        let config = RegistryConfig {
            insecure: true,
            ..quiet()
        };
        let client = Client::new(&registry.host(), &config).unwrap();
        let directory = tempfile::TempDir::new().unwrap();
        fs::create_dir_all(directory.path().join("rules")).unwrap();
        fs::write(directory.path().join("rules/to-production.cel"), RULE).unwrap();
        fs::write(directory.path().join("scanner"), SCANNER).unwrap();
        Some(Self {
            nats,
            registry,
            client,
            directory,
        })
    }

    async fn daemon(&self) -> Daemon {
        let host = self.registry.host();
        let config = format!(
            "rules = \"{}\"\ndefault_registry = \"{host}\"\n[registries.\"{host}\"]\ninsecure = true\n[stream]\nurls = [\"{}\"]\n[scans]\nrequest = true\n",
            self.directory.path().join("rules").display(),
            self.nats.url()
        );
        Daemon::start(self.directory.path(), &config, "").await
    }

    /// Runs two workers at once until they did `scans` in all.
    fn work(&self, scans: usize) {
        let start = |at_most: usize| {
            Command::new(env!("CARGO_BIN_EXE_weir"))
                .args(["scan-worker", "--nats", &self.nats.url(), "--exec"])
                .arg(format!(
                    "sh {} {{reference}}",
                    self.directory.path().join("scanner").display()
                ))
                .args(["--scanner", "trivy", "--at-most", &at_most.to_string()])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        for mut worker in [start(scans / 2), start(scans - scans / 2)] {
            assert!(worker.wait().unwrap().success());
        }
    }

    /// What the scanner was run on.
    fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.path().join("asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_scanned_by_workers_and_goes_to_production_without_a_hand_on_it() {
    let Some(scene) = Scene::new() else { return };
    let application = app::application("shop", &["web"], &[]);
    let digest = application
        .push(&scene.client, "team/shop", Some("1.0"))
        .await;
    let mut daemon = scene.daemon().await;
    let requests = |events: &Value| {
        events["events"]
            .as_array()
            .is_some_and(|all| all.len() == 4)
    };
    let path = "/v1/events?type=weir.scan.requested";
    daemon.until(path, requests).await;

    // Asked once, whoever starts when.
    daemon.kill();
    drop(daemon);
    let daemon = scene.daemon().await;
    scene.work(4);
    daemon
        .until("/v1/tags?repository=production/shop", |tags| {
            tags[0]["tag"] == "1.0"
        })
        .await;
    let reference = Reference::Tag("1.0".parse().unwrap());
    let promoted = scene
        .client
        .head_manifest("production/shop", &reference)
        .await
        .unwrap();
    assert_eq!(promoted.map(|head| head.digest), Some(digest));

    let asked = scene.asked();
    let distinct: BTreeSet<&String> = asked.iter().collect();
    assert_eq!((asked.len(), distinct.len()), (4, 4), "{asked:#?}");
    let prefix = format!("{}/team/shop@sha256:", scene.registry.host());
    assert!(
        asked.iter().all(|one| one.starts_with(&prefix)),
        "{asked:#?}"
    );
    assert!(requests(&daemon.get(path).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_gives_no_report_has_failed_whatever_its_exit_code_means() {
    let Some(scene) = Scene::new() else { return };
    fs::write(scene.directory.path().join("broken"), "").unwrap();
    let application = app::application("shop", &[], &[]);
    application
        .push(&scene.client, "team/shop", Some("1.0"))
        .await;
    let daemon = scene.daemon().await;
    scene.work(3);
    let why = daemon
        .until("/v1/why?repository=team/shop&tag=1.0", |why| {
            let reasons = why[0]["reasons"].as_array();
            reasons.is_some_and(|all| {
                all.len() == 3 && all.iter().all(|one| one["code"] == "scan-failed")
            })
        })
        .await;
    assert_eq!(why[0]["verdict"], "block");
    let failed = daemon.get("/v1/events?type=weir.scan.failed").await;
    let data = &failed["events"][0]["event"]["data"];
    let reason = data["reason"].as_str().unwrap();
    assert!(
        reason.contains("exit code 1") && reason.contains("database is locked"),
        "{reason}"
    );
    assert_eq!(data["scanner"]["name"], "trivy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_says_more_than_the_stream_takes_is_a_failed_scan() {
    let Some(scene) = Scene::new() else { return };
    let image = app::image("web", "amd64", &[]);
    image.push(&scene.client, "team/web", Some("1.0")).await;
    // Names that nothing can pack.
    let finding = |number: u32| {
        let package = Digest::of(&number.to_be_bytes()).hex();
        json!({"VulnerabilityID": format!("CVE-2099-{number:05}"), "PkgName": package, "InstalledVersion": "1", "Severity": "LOW"})
    };
    let findings: Vec<Value> = (0..45_000).map(finding).collect();
    let report = json!({"SchemaVersion": 2, "ArtifactName": "web", "ArtifactType": "container_image",
        "Metadata": {"OS": {"Family": "debian", "Name": "12"}},
        "Results": [{"Target": "debian", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": findings}]});
    let file = scene.directory.path().join("report");
    fs::write(&file, report.to_string()).unwrap();
    let scanner = format!("#!/bin/sh\ncat {}\n", file.display());
    fs::write(scene.directory.path().join("scanner"), scanner).unwrap();
    let daemon = scene.daemon().await;
    scene.work(1);
    let reason = why_failed(&daemon).await;
    assert!(
        reason.contains("what the report says cannot be sent"),
        "{reason}"
    );
}

/// Why the first scan that failed did.
async fn why_failed(daemon: &Daemon) -> String {
    let failed = daemon
        .until("/v1/events?type=weir.scan.failed", |failed| {
            failed["events"][0].is_object()
        })
        .await;
    let reason = &failed["events"][0]["event"]["data"]["reason"];
    reason.as_str().unwrap().to_owned()
}

/// The exit code of a worker with this command line, and what it says.
fn worker(nats: &str, exec: &str) -> (Option<i32>, String) {
    worker_with(nats, exec, &[])
}

fn worker_with(nats: &str, exec: &str, options: &[&str]) -> (Option<i32>, String) {
    let worker = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["scan-worker", "--nats", nats, "--exec", exec])
        .args(options)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&worker.stderr).into_owned();
    (worker.status.code(), told)
}

#[test]
fn a_worker_without_its_scanner_does_not_begin() {
    for program in ["/usr/local/bin/trivvy", "trivvy"] {
        // Nobody listens there: it does not come so far.
        let exec = format!("{program} image {{reference}}");
        let (code, told) = worker("nats://127.0.0.1:1", &exec);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(&format!("cannot run `{program}`")), "{told}");
    }
}

#[test]
fn a_worker_whose_adapter_does_not_exist_does_not_begin() {
    // Nobody listens there: it does not come so far.
    let nats = "nats://127.0.0.1:1";
    let (code, told) = worker_with(nats, "sh {reference}", &["--adapter", "trvy"]);
    assert_eq!(code, Some(2), "{told}");
    let names = "hint: adapters: ";
    assert!(
        told.contains("there is no adapter `trvy`") && told.contains(names),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_which_weir_takes_only_a_part_leaves_no_scan_running() {
    let Some(scene) = Scene::new() else { return };
    let image = app::image("web", "amd64", &[]);
    image.push(&scene.client, "team/web", Some("1.0")).await;
    let waived = json!({"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1,
        "metadata": {"tools": [{"name": "trivy"}]},
        "components": [{"type": "library", "name": "a", "bom-ref": "a", "purl": "pkg:npm/a@1"}],
        "vulnerabilities": [{"id": "CVE-1", "ratings": [{"severity": "high"}], "affects": [{"ref": "a"}],
            "analysis": {"state": "not_affected", "justification": "code_not_reachable"}}]});
    let scanner = format!("#!/bin/sh\ncat <<'REPORT'\n{waived}\nREPORT\n");
    fs::write(scene.directory.path().join("scanner"), scanner).unwrap();
    let daemon = scene.daemon().await;
    scene.work(1);
    let reason = why_failed(&daemon).await;
    assert!(reason.contains("a waiver"), "{reason}");
    let rejected = daemon.get("/v1/events?type=weir.input.rejected").await;
    assert_eq!(rejected["events"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_scanner_cannot_be_started_is_left_to_another_worker() {
    let Some(scene) = Scene::new() else { return };
    let image = app::image("web", "amd64", &[]);
    image.push(&scene.client, "team/web", Some("1.0")).await;
    let daemon = scene.daemon().await;
    let is_one = |events: &Value| {
        let events = events["events"].as_array();
        events.is_some_and(|all| all.len() == 1)
    };
    let requested = "/v1/events?type=weir.scan.requested";
    daemon.until(requested, is_one).await;

    // It is there and may be run; what should run it is not.
    let scanner = scene.directory.path().join("unreadable");
    fs::write(&scanner, "#!/nonexistent/shell\n").unwrap();
    fs::set_permissions(&scanner, fs::Permissions::from_mode(0o755)).unwrap();
    let exec = format!("{} {{reference}}", scanner.display());
    let (code, told) = worker(&scene.nats.url(), &exec);
    assert_eq!(code, Some(3), "{told}");
    let left = "the request is left to other workers";
    assert!(told.contains("cannot run") && told.contains(left), "{told}");

    scene.work(1);
    daemon
        .until("/v1/events?type=weir.scan.completed", is_one)
        .await;
    daemon
        .until("/v1/events?type=weir.scan.started", is_one)
        .await;
    let failed = daemon.get("/v1/events?type=weir.scan.failed").await;
    assert_eq!(failed["events"], json!([]));
}

/// Begins a scan that does not end, and tells the worker to end; returns once it has.
fn begin_and_end(scene: &Scene) {
    let begun = scene.directory.path().join("begun");
    let scanner = scene.directory.path().join("slow");
    let script = format!("#!/bin/sh\ntouch {}\nsleep 600\n", begun.display());
    fs::write(&scanner, script).unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["scan-worker", "--nats", &scene.nats.url(), "--exec"])
        .arg(format!("sh {} {{reference}}", scanner.display()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while !begun.exists() {
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "no scan was begun"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::remove_file(&begun).unwrap();
    let worker_id = worker.id().to_string();
    let told = Command::new("kill").args(["-TERM", &worker_id]).status();
    assert!(told.unwrap().success() && worker.wait().unwrap().success());
}

/// What is recorded of an image's scan after so many workers were ended at it, and one was not.
async fn after_ends(ends: usize, kind: &str) -> Option<Value> {
    let scene = Scene::new()?;
    let image = app::image("web", "amd64", &[]);
    image.push(&scene.client, "team/web", Some("1.0")).await;
    let daemon = scene.daemon().await;
    for _ in 0..ends {
        begin_and_end(&scene);
    }
    // At once, and not when the patience with a worker is over.
    scene.work(1);
    let is_one = |events: &Value| {
        let events = events["events"].as_array();
        events.is_some_and(|all| all.len() == 1)
    };
    let events = format!("/v1/events?type=weir.scan.{kind}");
    let events = daemon.until(&events, is_one).await;
    let data = events["events"][0]["event"]["data"].clone();
    assert_eq!(data["digest"], json!(image.digest()));
    Some(data)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_whose_worker_is_ended_is_done_by_the_next() {
    after_ends(4, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_ends_each_worker_has_failed_and_says_so() {
    if let Some(data) = after_ends(10, "failed").await {
        let reason = data["reason"].as_str().unwrap();
        assert!(reason.contains("begun 10 times"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_to_scan_what_refers_to_an_image() {
    let Some(scene) = Scene::new() else { return };
    let image = app::image("web", "amd64", &[]);
    let signature = app::cosign_signature(&["signed"]);
    let tag = fallback_tag(&image.digest()).unwrap();
    for ending in ["sig", "att", "sbom"] {
        let tag = format!("{tag}.{ending}");
        signature.push(&scene.client, "team/web", Some(&tag)).await;
    }
    let of_image = "application/vnd.oci.image.config.v1+json";
    let sbom = app::referrer(&image.descriptor(&json!({})), of_image, "{}");
    sbom.push(&scene.client, "team/web", Some("sbom")).await;
    let digest = image.push(&scene.client, "team/web", Some("1.0")).await;
    let daemon = scene.daemon().await;
    daemon
        .until("/v1/tags?repository=team/web", |tags| {
            tags.as_array().is_some_and(|all| all.len() == 5)
        })
        .await;
    let asked = |events: &Value| {
        let events = events["events"].as_array().into_iter().flatten();
        let digests = events.map(|event| event["event"]["data"]["digest"].clone());
        digests.collect::<Vec<_>>()
    };
    let requested = "/v1/events?type=weir.scan.requested";
    daemon
        .until(requested, |events| asked(events).contains(&json!(digest)))
        .await;
    // Once it is asked for what came later, all that was known with the image has been asked for.
    let other = app::image("other", "amd64", &[]);
    let other = other.push(&scene.client, "team/other", Some("1.0")).await;
    assert_eq!(
        daemon
            .post("/v1/reconcile?confirm=true", String::new())
            .await,
        200
    );
    let events = daemon
        .until(requested, |events| asked(events).contains(&json!(other)))
        .await;
    let mut expected = vec![json!(digest), json!(other)];
    let mut asked = asked(&events);
    expected.sort_by_key(Value::to_string);
    asked.sort_by_key(Value::to_string);
    assert_eq!(asked, expected);
}
