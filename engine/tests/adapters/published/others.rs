//! Google, GitHub, Docker Hub, Quay, Artifactory, Nexus, zot, DTR.

use serde_json::{Value, json};
use weir_engine::adapters::{AdapterSettings, Decoded};
use weir_schema::{Body, media_type};

use super::base64;
use crate::words::{check, check_text, check_with, decode_with, digest, meaning};

#[test]
fn googles_messages_in_every_wrapping() {
    let name = "us-east1-docker.pkg.dev/my-project/my-repo/hello-world";
    let data = json!({"action": "INSERT", "digest": format!("{name}@{}", digest("6e")), "tag": format!("{name}:1.1")});
    let expected = [&*format!("type? pushed image {name}:1.1 6e6e")];
    let message = json!({"data": base64(&data.to_string()), "messageId": "11", "publishTime": "2024-01-30T04:18:04.805Z"});
    // cloud.google.com/artifact-registry/docs/configure-notifications; `subscriptions.pull`, `gcloud`.
    check(
        &json!({"message": message, "subscription": "projects/p/subscriptions/s", "deliveryAttempt": 5}),
        &expected,
    );
    check(
        &json!({"receivedMessages": [{"ackId": "a", "message": message}]}),
        &expected,
    );
    check(&json!([{"ackId": "a", "message": message}]), &expected);
    // Eventarc, structured and binary.
    let eventarc = "google.cloud.pubsub.topic.v1.messagePublished";
    let wrapped = json!({"message": message, "subscription": "projects/p/subscriptions/s"});
    check(
        &json!({"specversion": "1.0", "id": "e", "source": "//pubsub.googleapis.com/projects/p/topics/gcr", "type": eventarc, "data": wrapped}),
        &expected,
    );
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "e"),
        ("ce-source", "//pubsub"),
        ("ce-type", eventarc),
    ];
    check_with(&headers, &wrapped, &expected);
    // Without wrapping (payload unwrapping), the headers say the rest.
    check_with(&[("x-goog-pubsub-message-id", "11")], &data, &expected);
    // fluxcd/flux-recv test/fixtures/gcr_payload has a brace too many; this is it without.
    check(
        &json!({"message": {"data": "eyJhY3Rpb24iOiJJTlNFUlQiLCJ0YWciOiJ1cy5nY3IuaW8vYW0vYW0ua2ViYWIuYXBpOnRlc3QifQo=", "messageId": "981636256311680", "publishTime": "2020-01-30T04:18:04.805Z"}, "subscription": "projects/am/subscriptions/flux-recv-gcr"}),
        &["resolve us.gcr.io/am/am.kebab.api:test"],
    );
    check_text(
        "{\"message\": {\"data\": \"e30=\"},\n\"subscription\": \"s\"}}",
        &["rejected no JSON: trailing characters at line 2"],
    );
}

#[test]
fn github_packages_that_are_containers_and_those_that_are_not() {
    // octokit/webhooks payload-examples/api.github.com/registry_package/published.docker.payload.json.
    let container = |digest: &str, tag: &str| {
        json!({"action": "published", "registry_package": {
            "id": 10696, "name": "hello-world-npm", "namespace": "Codertocat/hello-world", "ecosystem": "docker", "package_type": "npm", "created_at": "2019-05-09T23:28:29Z",
            "owner": {"login": "Codertocat"}, "registry": {"url": "https://CONTAINER.pkg.github.com/Codertocat", "type": "CONTAINER"},
            "package_version": {"id": 57_755_791, "version": "sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498", "manifest": "", "created_at": "0001-01-01T00:00:00Z", "metadata": [],
                "container_metadata": {"tag": {"name": tag, "digest": digest}, "labels": {"revision": ""}, "manifest": {"digest": digest, "media_type": media_type::DOCKER_MANIFEST, "size": 1782}},
                "package_url": format!("ghcr.io/Codertocat/hello-world:{tag}")}}})
    };
    check(
        &container("sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b", ""),
        &["rejected `registry_package.package_version.container_metadata.tag.digest`"],
    );
    check(
        &container(&digest("6c"), ""),
        &["pushed image ghcr.io/codertocat/hello-world 6c6c"],
    );
    check(
        &container(&digest("6c"), "v2"),
        &["pushed image ghcr.io/codertocat/hello-world:v2 6c6c"],
    );
    // .../package/published.npm.payload.json: `ecosystem` says docker, and it is none.
    check(
        &json!({"action": "published", "package": {"name": "hello-world-npm", "ecosystem": "docker", "package_type": "npm", "package_version": {"version": "1.0.0", "metadata": [], "docker_metadata": [], "source_url": "ghcr.io/Codertocat/hello-world-npm/image-1:v1"}}}),
        &["ignored"],
    );
    // keel-hq/keel pkg/http/github_webhook_trigger_test.go: neither URL nor owner.
    check(
        &json!({"action": "create", "package": {"name": "Server", "namespace": "UtaiteBOX", "ecosystem": "CONTAINER", "package_version": {"name": digest("7d"), "container_metadata": {
            "tag": {"name": "3.2.1", "digest": digest("7d")}, "manifest": {"digest": digest("7d"), "media_type": media_type::DOCKER_MANIFEST, "size": 735}}}}, "sender": {"login": "DingGGu"}}),
        &["pushed image ghcr.io/utaitebox/server:3.2.1 7d7d"],
    );
    // Gitea's package is another thing: not read, and so not passed over in silence.
    let package = json!({"action": "created", "package": {"id": 5, "type": "container", "name": "web", "version": "1.0"}, "sender": {"login": "ann"}});
    let unknown = ["rejected no adapter knows a payload of this form"];
    check(&package, &unknown);
    // Its webhooks have GitHub's header beside their own.
    for own in ["x-gitea-event", "x-forgejo-event"] {
        check_with(
            &[(own, "package"), ("x-github-event", "package")],
            &package,
            &unknown,
        );
    }
}

#[test]
fn event_grid_by_its_former_names_and_what_only_looks_like_it() {
    let event = |kind: &str| {
        json!([{"id": "9c5f", "topic": "/subscriptions/s", "subject": "web:v1", "eventType": kind, "eventTime": "2018-04-25T21:39:47Z", "dataVersion": "1.0", "metadataVersion": "1",
                "data": {"id": "cb8c", "timestamp": "2018-04-25T21:39:47Z", "action": "push", "target": {"mediaType": media_type::DOCKER_MANIFEST, "digest": digest("ab"), "repository": "web", "tag": "v1"}, "request": {"host": "r.azurecr.io"}}}])
    };
    for kind in ["Microsoft.ContainerRegistry.ImagePushed", "ImagePushed"] {
        check(&event(kind), &["pushed image web:v1 abab"]);
    }
    for kind in ["Microsoft.ContainerRegistry.ChartPushed", "ChartPushed"] {
        check(&event(kind), &["ignored"]);
    }
    // Oracle's registry: not read, and so not passed over in silence, nor taken for Azure's.
    check(
        &json!({"cloudEventsVersion": "0.1", "eventID": "x", "eventType": "com.oraclecloud.artifacts.uploaddockerimage", "source": "artifacts", "data": {"resourceName": "team/web:1.0"}}),
        &["rejected no adapter knows a payload of this form"],
    );
}

#[test]
fn docker_hub_and_quay_as_their_documents_show_them() {
    // fluxcd/flux-recv test/fixtures/dockerhub_payload: times as floats, images shortened.
    check(
        &json!({"callback_url": "https://registry.hub.docker.com/u/svendowideit/testhook/hook/2141b/", "push_data": {"images": ["27d4", "..."], "pushed_at": 1.417_566_161e9, "pusher": "trustedbuilder", "tag": "latest"},
                "repository": {"name": "testhook", "namespace": "svendowideit", "owner": "svendowideit", "repo_name": "svendowideit/testhook", "star_count": 0, "status": "Active"}}),
        &["resolve svendowideit/testhook:latest"],
    );
    // Alibaba's registry (argoproj-labs/argocd-image-updater pkg/webhook/aliyun_acr_test.go).
    check(
        &json!({"push_data": {"digest": digest("5c"), "pushed_at": "2019-12-02 17:53:03", "tag": "v2"}, "repository": {"name": "trigger", "namespace": "sample", "region": "cn-hangzhou", "repo_full_name": "sample/trigger", "repo_type": "PUBLIC"}}),
        &["type? pushed image sample/trigger:v2 5c5c"],
    );
    // quay/quay notifications/notificationevent.py: the sample data of every event.
    let quay = |more: Value| {
        let mut body = json!({"repository": "mynamespace/repository", "namespace": "mynamespace", "name": "repository", "docker_url": "quay.io/mynamespace/repository", "homepage": "https://quay.io/repository/mynamespace/repository"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    check(
        &quay(json!({"updated_tags": ["latest", "foo"], "pruned_image_count": 3})),
        &[
            "resolve mynamespace/repository:latest",
            "resolve mynamespace/repository:foo",
        ],
    );
    let build = json!({"build_id": "fake-build-id", "build_name": "some-fake-build", "docker_tags": ["latest"], "trigger_kind": "GitHub", "trigger_metadata": {"ref": "refs/heads/x", "commit_info": {"date": 1_700_000_000.0}}});
    let mut failed = build.clone();
    failed["error_message"] = json!("This is a fake error message");
    for other in [
        build,
        failed,
        json!({"message": "TEST NOTIFICATION"}),
        json!({"tags": ["latest", "prod"], "image": "some-image-id", "vulnerability": {"id": "CVE-FAKE-CVE", "priority": "Critical"}}),
        json!({"tags": ["latest"], "vulnerable_index_report_created": "true", "vulnerabilities": [{"priority": "High"}]}),
    ] {
        check(&quay(other), &["ignored"]);
    }
    check(
        &quay(json!({"updated_tags": ["ok", "not a tag", 7]})),
        &["rejected `updated_tags[2]`"],
    );
}

#[test]
fn sources_that_are_other_registries_than_the_default_say_which() {
    let settings = AdapterSettings {
        default_registry: Some("registry.example".into()),
        ..AdapterSettings::default()
    };
    let decoded = |body: Value| meaning(decode_with(&[], &settings, &body.to_string()));
    assert_eq!(
        decoded(json!({"push_data": {"tag": "1"}, "repository": {"repo_name": "team/web"}})),
        ["resolve docker.io/team/web:1"]
    );
    assert_eq!(
        decoded(
            json!({"repository": "team/web", "docker_url": "quay.io/team/web", "updated_tags": ["1"]})
        ),
        ["resolve quay.io/team/web:1"]
    );
    let own = json!({"repository": "team/web", "docker_url": "registry.example/team/web", "updated_tags": ["1"]});
    assert_eq!(decoded(own), ["resolve team/web:1"]);
}

#[test]
fn artifactory_keeps_images_in_folders() {
    // akuity/kargo pkg/webhook/external/artifactory_test.go: `image_name` is the last part of the path.
    let push = |path: &str, name: &str| json!({"domain": "docker", "event_type": "pushed", "data": {"tag": "v1.0.0", "path": path, "image_type": "docker", "repo_key": "test-repo", "image_name": name, "sha256": "ab".repeat(32), "name": "manifest.json"}, "jpd_origin": "https://artifactory.example.com"});
    check(
        &push("foo/bar/test-image/v1.0.0/manifest.json", "test-image"),
        &["type? pushed image test-repo/foo/bar/test-image:v1.0.0 abab"],
    );
    check(
        &push("test-image/latest/manifest.json", "test-image"),
        &["type? pushed image test-repo/test-image:v1.0.0 abab"],
    );
    check(
        &push("foo/test-image/v1.0.0/manifest.json", "foo/test-image"),
        &["type? pushed image test-repo/foo/test-image:v1.0.0 abab"],
    );
    check(
        &push("invalidpath", "test-image"),
        &["type? pushed image test-repo/test-image:v1.0.0 abab"],
    );
    check(
        &json!({"event_type": "nonsense", "domain": "docker"}),
        &["rejected `data.image_name` is missing"],
    );
}

#[test]
fn artifactory_names_who_pushed_and_the_service_that_tells_of_it_in_one_field() {
    let mut push = json!({"domain": "docker", "event_type": "deleted", "data": {"tag": "v1", "path": "web/v1/manifest.json", "repo_key": "test-repo", "image_name": "web"}});
    for (source, user, actor) in [
        // keel-hq/keel pkg/http/jfrog_webhook_trigger_test.go.
        ("jfrog/user@example.com", None, Some("user@example.com")),
        // Captured in akuity/kargo, pull request 4498.
        ("jfrog/jfrt@01jzq1wpac4msw1djjwqwh09w0", None, None),
        (
            "jfrog/jfrt@01jzq1wpac4msw1djjwqwh09w0",
            Some("ann"),
            Some("ann"),
        ),
        // JFrog's documentation: the subject of a token.
        (
            "jfrog/jfrt@01h9mspg5atsp402qqxm071zjv",
            Some("jffe@01h9mspg5atsp402qqxm071zjv/users/admin"),
            Some("admin"),
        ),
    ] {
        push["source"] = json!(source);
        push["userContext"] = json!({"id": user});
        let [Decoded::Event(event)] =
            &decode_with(&[], &AdapterSettings::default(), &push.to_string())[..]
        else {
            panic!("{push} is an event");
        };
        let Body::TagDeleted(deleted) = &event.event.body else {
            panic!("{event:?}");
        };
        assert_eq!(deleted.actor.as_deref(), actor, "{push}");
    }
}

#[test]
fn zot_may_be_told_to_name_its_events_otherwise() {
    // project-zot/zot pkg/extensions/events: source and prefix of types can be configured.
    let event = |kind: &str, data: Value| json!({"specversion": "1.0", "id": "1", "source": "registry.example", "type": kind, "time": "2026-01-01T00:00:00Z", "data": data});
    let image = json!({"name": "golang", "reference": "latest", "digest": digest("ab"), "mediaType": media_type::OCI_MANIFEST});
    check(
        &event("zotregistry.image.deleted", image.clone()),
        &["deleted golang:latest"],
    );
    let headers = [
        ("ce-type", "com.example.image.updated"),
        ("ce-id", "1"),
        ("ce-source", "s"),
        ("ce-specversion", "1.0"),
    ];
    let body = image.to_string();
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let settings = AdapterSettings::default();
    let decoded = weir_engine::adapters::decode(&weir_engine::adapters::Delivery {
        adapter: Some("zot"),
        source: "",
        delivery_id: None,
        headers: &headers,
        body: body.as_bytes(),
        settings: &settings,
    });
    assert_eq!(meaning(decoded), ["pushed image golang:latest abab"]);
    check(
        &event(
            "zotregistry.image.scanned",
            json!({"name": "golang", "reference": "latest", "digest": digest("ab"), "summary": {"count": 4, "highCount": 1, "mediumCount": 2, "maxSeverity": "HIGH"}}),
        ),
        &["scanned abab by zot: HIGH*1 MEDIUM*2 UNKNOWN*1"],
    );
    // An identifier that is empty is none.
    let mut nameless = event("zotregistry.image.deleted", image);
    nameless["id"] = json!("");
    check(&nameless, &["deleted golang:latest"]);
}

#[test]
fn nexus_names_its_events_in_capitals_and_its_times_as_java_does() {
    let event = |format: &str, version: &str| {
        json!({"timestamp": "2020-04-05T21:49:44.219+0000", "nodeId": "7FFA7361", "initiator": "admin/127.0.0.1", "repositoryName": "docker-test", "action": "CREATED",
               "component": {"id": "5e22f48c", "componentId": "ZG9j", "format": format, "name": "library/alpine", "group": null, "version": version}})
    };
    check(&event("docker", "3.8"), &["resolve library/alpine:3.8"]);
    check(
        &event("docker", "not a tag"),
        &["rejected `component.version`"],
    );
    check(&event("helm", "3.8"), &["ignored"]);
}
