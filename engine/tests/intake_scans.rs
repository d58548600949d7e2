//! What a scan is of, where its report names a tag, a configuration or an index: found out at a real
//! registry and in the log, and refused where it cannot be known.

mod support;

use serde_json::{Value, json};
use support::{
    app::{self, Content},
    daemon::Daemon,
    registry::{Registry, quiet},
};
use weir_engine::oci::{Client, RegistryConfig};
use weir_schema::{Digest, media_type};

struct Scene {
    registry: Registry,
    client: Client,
    daemon: Daemon,
    _directory: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let registry = Registry::start();
        let config = RegistryConfig {
            insecure: true,
            ..quiet()
        };
        let client = Client::new(&registry.host(), &config).unwrap();
        let directory = tempfile::TempDir::new().unwrap();
        let host = registry.host();
        let config = format!(
            "default_registry = \"{host}\"\n[registries.\"{host}\"]\ninsecure = true\n[reconcile]\nat_start = false\n"
        );
        let daemon = Daemon::start(directory.path(), &config, "").await;
        Self {
            registry,
            client,
            daemon,
            _directory: directory,
        }
    }

    async fn push(&self, content: &Content, repository: &str) -> Digest {
        content.push(&self.client, repository, Some("1.0")).await
    }

    async fn deliver(&self, adapter: &str, body: &Value) {
        let path = format!("/v1/intake/{adapter}?source=test");
        assert_eq!(self.daemon.post(&path, body.to_string()).await, 202);
    }

    /// Says that the tag was pushed.
    async fn pushed(&self, id: &str, repository: &str, digest: &Digest, kind: &str) {
        let event = json!({"events": [{"id": id, "action": "push", "target": {"mediaType": kind, "digest": digest, "repository": repository, "tag": "1.0"}}]});
        self.deliver("distribution", &event).await;
        let path = format!("/v1/tags?repository={repository}");
        let wanted = digest.to_string();
        self.daemon
            .until(&path, |tags| tags[0]["digest"] == wanted.as_str())
            .await;
    }

    /// A scan of `team/web:1.0` made then is one of `digest`.
    async fn scanned(&self, checked: &str, digest: &Digest) {
        self.deliver("dtr", &dtr(checked)).await;
        assert_eq!(self.last().await, digest.to_string(), "{checked}");
    }

    /// A scan of `team/web:1.0` made then is refused, since `why`.
    async fn doubted(&self, checked: &str, why: &str) {
        self.deliver("dtr", &dtr(checked)).await;
        let reason = self.last().await;
        assert!(reason.contains(why), "{checked}: {reason}");
    }

    /// Records what the registry has.
    async fn reconcile(&self) {
        let found = self
            .daemon
            .post("/v1/reconcile?confirm=true", String::new());
        assert_eq!(found.await, 200);
    }

    /// What the last scan that was recorded is of, or why it was rejected.
    async fn last(&self) -> String {
        let page = self.daemon.get("/v1/events?limit=1000").await;
        let mut events = page["events"].as_array().unwrap().iter().rev();
        let last = events.find(|record| {
            let kind = record["event"]["type"].as_str().unwrap();
            kind.starts_with("weir.scan.") || kind == "weir.input.rejected"
        });
        let data = &last.expect("something was recorded")["event"]["data"];
        let text = data["digest"].as_str().or(data["reason"].as_str());
        text.unwrap().to_owned()
    }
}

fn dtr(checked: &str) -> Value {
    json!({"type": "SCAN_COMPLETED", "createdAt": checked, "location": "/repositories/team/web/tags/1.0", "contents": {
        "namespace": "team", "repository": "web", "tag": "1.0", "imageName": "dtr.example/team/web:1.0",
        "scanSummary": {"namespace": "team", "reponame": "web", "tag": "1.0", "critical": 0, "major": 1, "minor": 2, "last_scan_status": 6, "check_completed_at": checked}}})
}

/// So many seconds ago.
fn earlier(seconds: i64) -> String {
    let at = chrono::Utc::now() - chrono::TimeDelta::seconds(seconds);
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn images() -> [Content; 3] {
    ["a", "b", "c"].map(|name| app::image(name, "amd64", &[]))
}

#[tokio::test(flavor = "multi_thread")]
async fn e21_a_scan_of_a_tag_is_of_what_the_tag_was_when_it_was_scanned() {
    let scene = Scene::new().await;
    let [first, second, third] = images();
    let first = scene.push(&first, "team/web").await;
    // The log knows nothing of the tag yet: the registry says, unless the image was made later.
    scene.scanned("2025-01-01T00:00:00Z", &first).await;
    scene
        .doubted("2020-01-01T00:00:00Z", "was made at 2024-01-01T00:00:00Z")
        .await;
    let while_unknown = earlier(3600);
    scene
        .pushed("1", "team/web", &first, media_type::OCI_MANIFEST)
        .await;
    // A scanner's clock may be a little behind. What was there before the first push that was told of
    // nobody knows.
    scene.scanned(&earlier(30), &first).await;
    scene
        .doubted(&while_unknown, "what it pointed at before")
        .await;

    let before = earlier(0);
    let second = scene.push(&second, "team/web").await;
    scene
        .pushed("2", "team/web", &second, media_type::OCI_MANIFEST)
        .await;
    scene.doubted(&before, "what it pointed at before").await;
    scene.scanned(&earlier(0), &second).await;

    // Moved without a word: nobody knows when.
    scene.push(&third, "team/web").await;
    scene
        .doubted(&earlier(0), "which of them was scanned is not known")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_was_deleted_meanwhile_is_not_what_was_scanned_before() {
    for (n, (kind, data)) in [
        (
            "tag.deleted",
            json!({"repository": "team/web", "tag": "1.0"}),
        ),
        (
            "manifest.deleted",
            json!({"repository": "team/web", "digest": images()[0].digest()}),
        ),
        ("repository.deleted", json!({"repository": "team/web"})),
    ]
    .into_iter()
    .enumerate()
    {
        let scene = Scene::new().await;
        let [first, second, _] = images();
        let first = scene.push(&first, "team/web").await;
        scene
            .pushed("1", "team/web", &first, media_type::OCI_MANIFEST)
            .await;
        let before = earlier(0);
        scene.scanned(&before, &first).await;
        let deleted = json!({"specversion": "1.0", "id": n.to_string(), "source": "/test", "type": format!("weir.{kind}"), "data": data});
        scene.deliver("cloudevents", &deleted).await;
        let second = scene.push(&second, "team/web").await;
        scene.doubted(&before, "the tag was deleted").await;
        scene
            .pushed("2", "team/web", &second, media_type::OCI_MANIFEST)
            .await;
        scene.doubted(&before, "what it pointed at before").await;
        scene.scanned(&earlier(0), &second).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_was_found_is_as_old_as_its_image_may_be() {
    let scene = Scene::new().await;
    let [first, second, _] = images();
    let first = scene.push(&first, "team/web").await;
    scene.reconcile().await;
    scene.scanned("2025-01-01T00:00:00Z", &first).await;
    scene
        .doubted("2020-01-01T00:00:00Z", "was made at 2024-01-01T00:00:00Z")
        .await;
    // It was something else before it was found: it may have been that when it was scanned.
    scene.push(&second, "team/web").await;
    scene.reconcile().await;
    scene
        .doubted("2025-01-01T00:00:00Z", "what it pointed at before")
        .await;
}

/// A report of Trivy about an image with this configuration.
fn trivy(config: &Digest, named: Value) -> Value {
    let mut metadata = json!({"ImageID": config, "OS": {"Family": "debian", "Name": "12"}});
    for (name, value) in named.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    json!({"SchemaVersion": 2, "CreatedAt": earlier(0), "ArtifactName": "x", "ArtifactType": "container_image", "Metadata": metadata,
           "Results": [{"Target": "x (debian 12)", "Class": "os-pkgs", "Type": "debian"}]})
}

/// The digest of an image's configuration.
fn config_of(content: &Content, manifest: usize) -> Digest {
    let value: Value = serde_json::from_slice(&content.manifests[manifest].1).unwrap();
    value["config"]["digest"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_bound_to_the_image_with_the_configuration_it_is_about() {
    let scene = Scene::new().await;
    let host = scene.registry.host();
    let (image, index) = (
        app::image("web", "amd64", &[]),
        app::multi_arch("cache", &[]),
    );
    let digest = scene.push(&image, "team/web").await;
    let whole = scene.push(&index, "team/cache").await;
    let arm64 = Digest::of(&index.manifests[1].1);

    // Before any push was told of: the registry and repository that the report names are asked.
    let by_tag = json!({"RepoTags": [format!("{host}/team/web:1.0")]});
    scene
        .deliver("trivy", &trivy(&config_of(&image, 0), by_tag))
        .await;
    assert_eq!(scene.last().await, digest.to_string());
    let of_index = json!({"RepoDigests": [format!("{host}/team/cache@{whole}")], "RepoTags": [format!("{host}/team/cache:1.0")]});
    scene
        .deliver("trivy", &trivy(&config_of(&index, 1), of_index.clone()))
        .await;
    assert_eq!(scene.last().await, arm64.to_string());

    // E5: what is in no registry yet keeps the report's word; it may come later.
    let later = app::image("later", "amd64", &[]);
    let named = json!({"RepoDigests": [format!("{host}/team/later@{}", later.digest())]});
    scene
        .deliver("trivy", &trivy(&config_of(&later, 0), named))
        .await;
    assert_eq!(scene.last().await, later.digest().to_string());

    // Sent again when it is known what that holds, it is of the image in it.
    let later = app::multi_arch("early", &[]);
    let named = json!({"RepoDigests": [format!("{host}/team/early@{}", later.digest())]});
    let early = trivy(&config_of(&later, 1), named);
    scene.deliver("trivy", &early).await;
    assert_eq!(scene.last().await, later.digest().to_string());
    scene.push(&later, "team/early").await;
    scene.deliver("trivy", &early).await;
    let arm64_of_later = Digest::of(&later.manifests[1].1);
    assert_eq!(scene.last().await, arm64_of_later.to_string());

    // By its configuration alone, where one known image has it.
    scene
        .pushed("1", "team/web", &digest, media_type::OCI_MANIFEST)
        .await;
    scene
        .daemon
        .until(
            "/v1/events?type=weir.manifest.resolved&limit=1000",
            |page| page.to_string().contains(&digest.to_string()),
        )
        .await;
    scene
        .deliver("trivy", &trivy(&config_of(&image, 0), json!({})))
        .await;
    assert_eq!(scene.last().await, digest.to_string());
    // Trivy's operator writes that digest beside a tag; where it has gone meanwhile, the image has not.
    let config = config_of(&image, 0);
    let operator = json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "VulnerabilityReport", "report": {
        "artifact": {"repository": "team/gone", "tag": "1.0", "digest": config}, "registry": {"server": host}, "os": {"family": "debian"}, "scanner": {"name": "Trivy"}, "vulnerabilities": []}});
    scene.deliver("trivy", &operator).await;
    assert_eq!(scene.last().await, digest.to_string());

    // Of two in which it is, the report does not say which: Docker's and OCI's form of one image.
    let oci = String::from_utf8(image.manifests[0].1.clone()).unwrap();
    let docker = oci.replace(media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST);
    let docker = Content {
        blobs: image.blobs.clone(),
        manifests: vec![(media_type::DOCKER_MANIFEST.into(), docker.into_bytes())],
    };
    let docker = scene.push(&docker, "team/docker").await;
    let named = json!({"RepoDigests": [format!("{host}/team/docker@{docker}")]});
    scene.deliver("trivy", &trivy(&config, named)).await;
    assert_eq!(scene.last().await, docker.to_string());
    scene.deliver("trivy", &trivy(&config, json!({}))).await;
    let reason = scene.last().await;
    let mut both = [digest.to_string(), docker.to_string()];
    both.sort();
    let both = format!(
        "several known images have that configuration, {}: name the one that was scanned in the header `weir-subject-digest`",
        both.join(", ")
    );
    assert!(reason.contains(&both), "{reason}");

    // An image with another configuration is none that it could be of.
    let named = json!({"RepoDigests": [format!("{host}/team/web@{digest}")]});
    let contradicting = trivy(&Digest::of(b"another image"), named);
    scene.deliver("trivy", &contradicting).await;
    let reason = scene.last().await;
    assert!(
        reason.contains("no known image has the configuration"),
        "{reason}"
    );

    // An index that does not hold the image scanned is none that it could be of.
    scene
        .pushed("2", "team/cache", &whole, media_type::OCI_INDEX)
        .await;
    scene
        .deliver("trivy", &trivy(&Digest::of(b"another"), of_index))
        .await;
    let reason = scene.last().await;
    assert!(
        reason.contains("no known image has the configuration"),
        "{reason}"
    );
}

/// An index as BuildKit pushes it: an image and its attestation for each platform.
fn built(name: &str, platforms: &[Value]) -> Content {
    let mut all = Content::default();
    let mut children = Vec::new();
    for platform in platforms {
        let image = app::image(&format!("{name} {platform}"), "any", &[]);
        let attestation = app::image(&format!("{name} {platform} attested"), "unknown", &[]);
        children.push(image.descriptor(&json!({"platform": platform})));
        children.push(attestation.descriptor(&json!({
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.digest()},
        })));
        for part in [image, attestation] {
            all.blobs.extend(part.blobs);
            all.manifests.extend(part.manifests);
        }
    }
    let index =
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children});
    let index = (media_type::OCI_INDEX.to_owned(), index.to_string().into());
    all.manifests.push(index);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_image_id_is_that_of_an_index_is_of_the_image_of_its_platform() {
    let scene = Scene::new().await;
    let host = scene.registry.host();
    let of = |architecture: &str| json!({"os": "linux", "architecture": architecture});
    let arm = |variant: &str| json!({"os": "linux", "architecture": "arm", "variant": variant});
    // What Trivy says of an image in Docker's containerd store.
    let report = |index: &Digest, platform: Value| {
        let named = json!({"RepoTags": [format!("{host}/team/web:1.0")], "RepoDigests": [format!("{host}/team/web@{index}")], "ImageConfig": platform});
        trivy(index, named)
    };
    let content = built("web", &[of("amd64"), arm("v6"), arm("v7"), of("arm64")]);
    let index = content.digest();
    let [amd64, arm_v6, arm_v7, arm64] =
        [0, 2, 4, 6].map(|at| Digest::of(&content.manifests[at].1).to_string());

    // It is in no registry yet: the report keeps its word, which covers nothing of an index, and is
    // read again when it is sent again.
    scene.deliver("trivy", &report(&index, of("amd64"))).await;
    assert_eq!(scene.last().await, index.to_string());
    scene.push(&content, "team/web").await;
    scene.deliver("trivy", &report(&index, of("amd64"))).await;
    assert_eq!(scene.last().await, amd64);

    scene
        .pushed("1", "team/web", &index, media_type::OCI_INDEX)
        .await;
    let resolved = "/v1/events?type=weir.manifest.resolved&limit=1000";
    let wanted = arm_v7.clone();
    scene
        .daemon
        .until(resolved, |page| page.to_string().contains(&wanted))
        .await;
    let mut arm64_v8 = of("arm64");
    arm64_v8["variant"] = json!("v8");
    for (platform, image) in [
        (of("amd64"), &amd64),
        (arm("v6"), &arm_v6),
        (arm("v7"), &arm_v7),
        // The index does not say the variant.
        (arm64_v8, &arm64),
    ] {
        scene
            .deliver("trivy", &report(&index, platform.clone()))
            .await;
        assert_eq!(scene.last().await, *image, "{platform}");
    }
    // By its name alone: what Docker has built and not yet pushed.
    let alone = trivy(&index, json!({"ImageConfig": of("arm64")}));
    scene.deliver("trivy", &alone).await;
    assert_eq!(scene.last().await, arm64);

    let mut elsewhere = report(&index, of("amd64"));
    elsewhere["Metadata"]["RepoDigests"] = json!([format!("{host}/team/web@{arm64}")]);
    // What is in it nobody can tell.
    let unknown = Digest::of(b"an index within");
    let outer = Digest::of(b"the index around");
    let pushed = json!({"specversion": "1.0", "id": "2", "source": "/test", "type": "weir.image.pushed", "data": {
        "repository": "team/outer", "tag": "1.0", "digest": outer, "media_type": media_type::OCI_INDEX,
        "manifests": [{"digest": unknown, "media_type": media_type::OCI_INDEX, "platform": of("amd64")}]}});
    scene.deliver("cloudevents", &pushed).await;
    for (report, why) in [
        (
            report(&index, of("s390x")),
            "it has no image of linux/s390x".to_owned(),
        ),
        (
            report(&index, of("arm")),
            "several images in it are of linux/arm:".to_owned(),
        ),
        (
            report(&index, json!({"os": "unknown", "architecture": "unknown"})),
            "it has no image of unknown/unknown".to_owned(),
        ),
        (
            report(&index, json!({"os": "linux"})),
            "the report does not say of which platform".to_owned(),
        ),
        (
            report(&index, Value::Null),
            "the report does not say of which platform".to_owned(),
        ),
        (elsewhere, format!("the report names {arm64} too")),
        (
            trivy(&outer, json!({"ImageConfig": of("amd64")})),
            "what is in it is not known".to_owned(),
        ),
    ] {
        scene.deliver("trivy", &report).await;
        let reason = scene.last().await;
        let whole = format!(
            "that is the digest of an index, as Docker's containerd image store gives it, and {why}"
        );
        assert!(
            reason.contains(&whole) && reason.contains("`weir-subject-digest`"),
            "{reason}"
        );
    }
}
