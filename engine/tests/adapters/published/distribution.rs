//! CNCF distribution, and what copies its form.

use serde_json::{Value, json};
use weir_schema::media_type;

use crate::words::{check, digest};

#[test]
fn distributions_documented_envelope() {
    // distribution/distribution docs/content/about/notifications.md: one event, a blob's.
    let target = |more: Value| {
        let mut target = json!({"mediaType": media_type::DOCKER_MANIFEST, "digest": "sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf", "length": 1, "repository": "library/test",
               "url": "https://example.com/v2/library/test/manifests/sha256:c3b3692957d439ac1928219a83fac91e7bf96c153725526874673ae1f2023f8d5"});
        for (name, value) in more.as_object().unwrap() {
            target[name] = value.clone();
        }
        target
    };
    let event = |action: &str, target: Value| {
        json!({"id": "asdf-asdf-asdf-asdf-0", "timestamp": "2006-01-02T15:04:05Z", "action": action, "target": target,
               "request": {"id": "asdfasdf", "addr": "client.local", "host": "registrycluster.local", "method": "PUT", "useragent": "test/0.1"},
               "actor": {"name": "test-actor"}, "source": {"addr": "hostname.local:port", "instanceID": "a53db899-3b4b-4a62-a067-8dd013beaca4"}})
    };
    check(
        &json!({"events": [
            event("push", target(json!({}))),
            event("push", target(json!({"mediaType": "application/octet-stream", "url": "https://example.com/v2/library/test/blobs/sha256:c3"}))),
            event("pull", target(json!({"tag": "latest"}))),
        ]}),
        &["pushed image library/test fea8", "ignored", "ignored"],
    );
    // A repository may be called what the paths of blobs and manifests are.
    let named = |repository: &str, path: &str, kind: &str| json!({"mediaType": kind, "digest": digest("ab"), "repository": repository, "url": format!("https://blobs.example/blobs/v2/{repository}/{path}")});
    let manifest = format!("manifests/{}", digest("ab"));
    check(
        &json!({"events": [
            event("push", named("team/blobs/web", &manifest, media_type::OCI_MANIFEST)),
            event("push", named("team/manifests/web", "blobs/sha256:c3", "")),
        ]}),
        &["pushed image team/blobs/web abab", "ignored"],
    );
    // Tags whose digest is not told are asked for; a digest in place of a tag is one.
    check(
        &json!({"events": [event("push", json!({"repository": "library/test", "tag": "1", "mediaType": media_type::OCI_INDEX}))]}),
        &["resolve library/test:1"],
    );
    check(
        &json!({"events": [event("push", json!({"repository": "library/test", "tag": digest("ab"), "mediaType": media_type::OCI_INDEX}))]}),
        &["pushed index library/test abab"],
    );
    for config in [
        media_type::OCI_CONFIG,
        media_type::DOCKER_CONFIG,
        "application/vnd.in-toto+json",
    ] {
        check(
            &json!({"events": [event("push", json!({"repository": "a/b", "digest": digest("ab"), "mediaType": config}))]}),
            &["ignored"],
        );
    }
    // What it can do without may be of any kind; what it needs may not.
    let mut odd = event(
        "push",
        target(json!({"size": "1", "length": -1, "tag": "1"})),
    );
    for (field, value) in [
        ("id", json!(7)),
        ("timestamp", json!(1.7e9)),
        ("actor", json!("ann")),
        ("request", json!([])),
        ("source", Value::Null),
    ] {
        odd[field] = value;
    }
    check(
        &json!({"events": [odd]}),
        &["pushed image library/test:1 fea8"],
    );
    check(
        &json!({"events": [event("push", target(json!({"repository": 7})))]}),
        &["rejected `events[0]`: invalid type: integer `7`"],
    );
    check(&json!({"events": null}), &["rejected `events` is missing"]);
    check(
        &json!({"events": {}}),
        &["rejected not of the form that it should have"],
    );
    check(&json!({"events": [null]}), &["rejected `events[0]`"]);
}

#[test]
fn azure_pushes_as_event_grid_documents_them() {
    // learn.microsoft.com event-schema-container-registry: a list of CloudEvents, seven digits of a second.
    let event = |kind: &str, action: &str, target: Value| {
        json!([{"id": "831e1650-001e-001b-66ab-eeb76e069631", "source": "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/demo", "subject": "aci-helloworld:v1",
                "type": format!("Microsoft.ContainerRegistry.{kind}"), "time": "2018-04-25T21:39:47.6549614Z", "specversion": "1.0",
                "data": {"id": "31c51664", "timestamp": "2018-04-25T21:39:47.276585742Z", "action": action, "target": target,
                         "request": {"id": "7c66f28b", "host": "demo.azurecr.io", "method": "PUT", "useragent": "docker/18.03.0-ce"}}}])
    };
    let image = json!({"mediaType": media_type::DOCKER_MANIFEST, "size": 3023, "digest": "sha256:213bbc182920ab41e18edc2001e06abcca6735d87782d9cef68abd83941cf0e5", "length": 3023, "repository": "aci-helloworld", "tag": "v1"});
    check(
        &event("ImagePushed", "push", image.clone()),
        &["pushed image aci-helloworld:v1 213b"],
    );
    // Azure/azure-sdk-for-js eventgrid test data: "delivering the `data` object as string".
    let text = json!({"id": "b7", "action": "push", "target": image}).to_string();
    let grid = |data: &str| json!({"id": "b7", "topic": "/subscriptions/s/registries/demo", "subject": "a:1", "eventType": "Microsoft.ContainerRegistry.ImagePushed", "data": data, "dataVersion": "1.0", "eventTime": "2020-07-09T00:29:38Z"});
    check(&grid(&text), &["pushed image aci-helloworld:v1 213b"]);
    check(&grid("{"), &["rejected `data`"]);
    check(
        &event(
            "ImageDeleted",
            "delete",
            json!({"mediaType": media_type::DOCKER_MANIFEST, "digest": digest("ab"), "repository": "aci-helloworld"}),
        ),
        &["deleted aci-helloworld@abab"],
    );
    check(
        &event(
            "ChartPushed",
            "chart_push",
            json!({"mediaType": "application/vnd.acr.helm.chart", "size": 25265, "digest": digest("ab"), "repository": "repo", "tag": "wordpress-5.4.0.tgz", "name": "wordpress", "version": "5.4.0.tgz"}),
        ),
        &["ignored"],
    );
    // akuity/kargo pkg/webhook/external/azure_test.go: a ping, a push without its digest, other products.
    check(&json!({"action": "ping"}), &["ignored"]);
    check(
        &json!({"action": "push", "target": {"repository": "fakeimage", "mediaType": media_type::DOCKER_MANIFEST, "tag": "v1.0.0"}, "request": {"host": "fakeregistry.azurecr.io"}}),
        &["resolve fakeimage:v1.0.0"],
    );
    check(
        &json!({"eventType": "git.push", "resource": {"refUpdates": [{"name": "refs/heads/main"}]}}),
        &["rejected no adapter knows"],
    );
}
