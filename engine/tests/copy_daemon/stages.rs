//! An application through every stage and to another registry, killed in between.

use crate::site::{Site, client, is_idle, rule, scanned, tag};
use crate::support::{
    app,
    proxy::{Fault, Proxy},
    registry::Registry,
};
use serde_json::json;
use weir_engine::oci::fallback_tag;
use weir_schema::{Digest, Tag};

#[tokio::test(flavor = "multi_thread")]
async fn f36_an_application_goes_through_every_stage_and_on_to_another_registry_with_all_that_refers_to_it()
 {
    let (home, away) = (Registry::start(), Registry::start());
    // The daemon speaks with both through proxies, which count.
    let before = Proxy::before(home.address(), |_| Fault::None).await;
    let behind = Proxy::before(away.address(), |_| Fault::None).await;
    let rules = [
        ("1", rule("to-staging", "app", "dev/*", "staging/{1}")),
        (
            "2",
            rule("to-production", "app", "staging/*", "production/{1}"),
        ),
        (
            "3",
            rule(
                "to-site",
                "app",
                "production/*",
                &format!("{}/site/{{1}}", behind.host()),
            ),
        ),
    ];
    let hosts = [before.host(), behind.host()];
    let site = Site::new(&rules, &before.host(), &hosts, "");
    let (source, target) = (client(&home.host()), client(&away.host()));
    let application = app::application("shop", &["web", "db"], &[40_000]);
    let digest = application.push(&source, "dev/shop", Some("1.0")).await;
    // One referrer of each manifest, listed under its tag, and cosign's signature of the whole.
    let mut referrers = Vec::new();
    for (kind, bytes) in &application.manifests {
        let subject = json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
        let sbom = app::referrer(&subject, "application/spdx+json", &format!("{subject}"));
        sbom.push(&source, "dev/shop", None).await;
        let list = app::referrer_list(&[(&sbom, "application/spdx+json")]);
        let tag = fallback_tag(&Digest::of(bytes)).unwrap().to_string();
        list.push(&source, "dev/shop", Some(&tag)).await;
        referrers.push((Digest::of(bytes), sbom));
    }
    let signature = app::cosign_signature(&["signed"]);
    let signed = format!("{}.sig", fallback_tag(&digest).unwrap());
    signature.push(&source, "dev/shop", Some(&signed)).await;

    let mut daemon = site.daemon().await;
    let all = application.manifests.iter();
    let all: Vec<Digest> = all.map(|(_, bytes)| Digest::of(bytes)).collect();
    scanned(&daemon, &all).await;
    let event = json!({"events": [{"id": "1", "action": "push", "target": {
        "mediaType": application.manifests.last().unwrap().0, "digest": digest, "repository": "dev/shop", "tag": "1.0"}}]});
    let path = "/v1/intake/distribution?source=dev";
    assert_eq!(daemon.post(path, event.to_string()).await, 202);
    // Killed in the middle of whatever it does just then, it goes on where it was.
    daemon
        .until("/v1/tags?repository=staging/shop", |tags| {
            tags[0]["tag"] == "1.0"
        })
        .await;
    daemon.kill();
    drop(daemon);
    let daemon = site.daemon().await;
    let last = format!("/v1/tags?repository={}/site/shop", behind.host());
    daemon.until(&last, |tags| tags[0]["tag"] == "1.0").await;
    daemon.until("/v1/promotions", is_idle).await;

    for (client, path) in [
        (&source, "staging/shop"),
        (&source, "production/shop"),
        (&target, "site/shop"),
    ] {
        assert_eq!(tag(client, path).await, Some(digest.clone()), "{path}");
        for (_, bytes) in &application.manifests {
            let there = client.get_manifest(path, &Digest::of(bytes).into()).await;
            assert_eq!(there.unwrap().bytes, bytes, "{path}");
        }
        // F36: what refers to each child is the same set at every stage.
        for (subject, sbom) in &referrers {
            let before = source.referrers("dev/shop", subject).await.unwrap();
            let after = client.referrers(path, subject).await.unwrap();
            assert_eq!(before.descriptors, after.descriptors, "{path} {subject}");
            let there = client.get_manifest(path, &sbom.digest().into()).await;
            assert!(there.is_ok(), "{path} {subject}");
        }
        let signed: Tag = signed.parse().unwrap();
        let there = client.head_manifest(path, &signed.into()).await.unwrap();
        assert_eq!(there.unwrap().digest, signature.digest(), "{path}");
    }
    // Within a registry nothing was uploaded; between two, each blob once.
    let uploads = |proxy: &Proxy, path: &str| {
        let seen = proxy.seen();
        let of = seen.iter().filter(|request| {
            request.method == "PUT"
                && request.path.contains(path)
                && request.path.contains("/blobs/uploads/")
        });
        of.count()
    };
    assert_eq!(uploads(&before, "staging/"), 0);
    assert_eq!(uploads(&before, "production/"), 0);
    let blobs = distinct(&application.blobs)
        + distinct(&signature.blobs)
        + referrers
            .iter()
            .map(|(_, sbom)| distinct(&sbom.blobs))
            .sum::<usize>();
    let moved = uploads(&behind, "site/");
    assert!(moved <= blobs, "{moved} uploads of {blobs} blobs");
}

fn distinct(blobs: &[Vec<u8>]) -> usize {
    let digests = blobs.iter().map(|blob| Digest::of(blob));
    digests.collect::<std::collections::BTreeSet<_>>().len()
}
