//! A promotion between real repositories: complete, equal to the byte, and done once.

mod support;

use std::{
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use support::{
    app::{self, Content},
    proxy::{Fault, Proxy},
    registry::{Access, Options, Registry, as_dev, clients, delete_blob, delete_manifest, quiet},
    tls::Authority,
};
use weir_engine::{
    copy::{self, CopyError, Outcome, Plan},
    oci::{Client, Clients, RegistryConfig, fallback_tag},
};
use weir_schema::{Digest, RepositoryName, Tag};

fn repository(host: &str, path: &str) -> RepositoryName {
    format!("{host}/{path}").parse().unwrap()
}

fn plan(
    source: &RepositoryName,
    target: &RepositoryName,
    digest: &Digest,
    expected: Option<&Digest>,
) -> Plan {
    Plan {
        digest: digest.clone(),
        source: source.clone(),
        source_tag: None,
        target: target.clone(),
        target_tag: "1.0".parse().unwrap(),
        expected: expected.cloned(),
        known_referrers: Default::default(),
    }
}

async fn run(plan: &Plan, clients: &Clients) -> Result<Outcome, CopyError> {
    copy::run(plan, clients, Arc::new(|_| {})).await
}

async fn tag(client: &Client, path: &str, tag: &str) -> Option<Digest> {
    let tag: Tag = tag.parse().unwrap();
    client
        .head_manifest(path, &tag.into())
        .await
        .unwrap()
        .map(|head| head.digest)
}

/// Every manifest and every blob of `content` is in the repository, equal to the byte.
async fn assert_complete(client: &Client, path: &str, content: &Content) {
    for (_, bytes) in &content.manifests {
        let there = client
            .get_manifest(path, &Digest::of(bytes).into())
            .await
            .unwrap();
        assert_eq!(there.bytes, bytes);
    }
    for blob in &content.blobs {
        let digest = Digest::of(blob);
        assert!(
            client.has_blob(path, &digest).await.unwrap(),
            "blob {digest} is missing in {path}"
        );
    }
}

/// An application with all kinds of referrers, pushed.
struct Signed {
    application: Content,
    referrers: Vec<Content>,
    tags: Vec<(String, Content)>,
}

impl Signed {
    async fn push(client: &Client, path: &str) -> Self {
        let application = app::application("shop", &["web", "db"], &[40_000]);
        let digest = application.push(client, path, Some("1.0")).await;
        let component = app::image("shop-web", "amd64", &[40_000]);
        let leaf = app::image("shop-cache", "arm64", &[40_000]);
        let sbom = app::referrer(
            &component.descriptor(&json!({})),
            "application/spdx+json",
            "sbom of web",
        );
        let about_sbom = app::referrer(
            &sbom.descriptor(&json!({})),
            "application/signature",
            "signature of the sbom",
        );
        let attestation = app::referrer(
            &leaf.descriptor(&json!({})),
            "application/vnd.in-toto+json",
            "provenance",
        );
        let name =
            |digest: &Digest, ending: &str| format!("{}{ending}", fallback_tag(digest).unwrap());
        let tags = vec![
            (
                name(&component.digest(), ""),
                app::referrer_list(&[(&sbom, "application/spdx+json")]),
            ),
            (
                name(&sbom.digest(), ""),
                app::referrer_list(&[(&about_sbom, "application/signature")]),
            ),
            (
                name(&leaf.digest(), ""),
                app::referrer_list(&[(&attestation, "application/vnd.in-toto+json")]),
            ),
            (
                name(&digest, ".sig"),
                app::cosign_signature(&["signed by release"]),
            ),
            (
                name(&leaf.digest(), ".att"),
                app::cosign_signature(&["attested by build"]),
            ),
        ];
        let referrers = vec![sbom, about_sbom, attestation];
        for referrer in &referrers {
            referrer.push(client, path, None).await;
        }
        for (tag, content) in &tags {
            content.push(client, path, Some(tag)).await;
        }
        Self {
            application,
            referrers,
            tags,
        }
    }

    async fn assert_complete(&self, client: &Client, path: &str) {
        assert_eq!(
            tag(client, path, "1.0").await,
            Some(self.application.digest())
        );
        assert_complete(client, path, &self.application).await;
        for referrer in &self.referrers {
            assert_complete(client, path, referrer).await;
        }
        for (name, content) in &self.tags {
            assert_eq!(
                tag(client, path, name).await,
                Some(content.digest()),
                "{name}"
            );
            assert_complete(client, path, content).await;
        }
    }
}

#[tokio::test]
async fn f36_an_application_goes_with_its_referrers_through_the_stages_of_one_registry() {
    let registry = Registry::start();
    let proxy = Proxy::before(registry.address(), |_| Fault::None).await;
    let host = proxy.host();
    let clients = clients([(host.clone(), registry.config())]);
    let client = clients.get(&host).unwrap();
    let signed = Signed::push(&client, "dev/shop").await;
    let stored = registry.stored_bytes();
    let digest = signed.application.digest();

    for (from, to) in [("dev/shop", "staging/shop"), ("staging/shop", "prod/shop")] {
        let plan = plan(
            &repository(&host, from),
            &repository(&host, to),
            &digest,
            None,
        );
        let outcome = run(&plan, &clients).await.unwrap();
        assert_eq!(
            outcome.progress.bytes_moved, 0,
            "blobs of one registry are mounted"
        );
        assert_eq!(outcome.progress.manifests, outcome.progress.manifests_done);
        signed.assert_complete(&client, to).await;

        let before = proxy.writes();
        let again = run(&plan, &clients).await.unwrap();
        assert!(again.already_there);
        assert_eq!(again.progress.manifests_stored, 0);
        assert_eq!(proxy.writes(), before, "a second run only looks");
    }
    assert_eq!(registry.stored_bytes(), stored, "no blob was stored twice");
}

#[tokio::test]
async fn an_application_goes_with_its_referrers_to_another_registry() {
    let (from, to) = (Registry::start(), Registry::start());
    let proxy = Proxy::before(to.address(), |_| Fault::None).await;
    let clients = clients([(from.host(), from.config()), (proxy.host(), to.config())]);
    let source = clients.get(&from.host()).unwrap();
    let target = clients.get(&proxy.host()).unwrap();
    let signed = Signed::push(&source, "dev/shop").await;

    let plan = plan(
        &repository(&from.host(), "dev/shop"),
        &repository(&proxy.host(), "prod/shop"),
        &signed.application.digest(),
        None,
    );
    let outcome = run(&plan, &clients).await.unwrap();
    assert!(!outcome.already_there && outcome.progress.bytes_moved > 0);
    signed.assert_complete(&target, "prod/shop").await;

    // The shared layer, above all, went once.
    let uploads = proxy
        .seen()
        .into_iter()
        .filter(|r| r.method == "PUT" && r.path.contains("/blobs/"))
        .count();
    assert_eq!(
        u64::try_from(uploads).unwrap(),
        outcome.progress.blobs_moved
    );
    let before = proxy.writes();
    assert!(run(&plan, &clients).await.unwrap().already_there);
    assert_eq!(proxy.writes(), before, "a second run only looks");
}

#[tokio::test]
async fn what_is_gone_of_the_blobs_of_manifests_that_the_target_has_is_brought_again() {
    let (from, other) = (Registry::start(), Registry::start());
    for to in [&from, &other] {
        let clients = clients([(from.host(), from.config()), (to.host(), to.config())]);
        let signed = Signed::push(&clients.get(&from.host()).unwrap(), "dev/shop").await;
        let plan = plan(
            &repository(&from.host(), "dev/shop"),
            &repository(&to.host(), "prod/shop"),
            &signed.application.digest(),
            None,
        );
        run(&plan, &clients).await.unwrap();
        let sbom = &signed.referrers[0];
        let gone = [
            &signed.application.blobs[0],
            signed.application.blobs.last().unwrap(),
            &sbom.blobs[0],
            &signed.tags.last().unwrap().1.blobs[0],
        ];
        for blob in gone {
            assert!(delete_blob(&to.host(), "prod/shop", &Digest::of(blob)).await);
        }

        let later = Plan {
            target_tag: "2.0".parse().unwrap(),
            ..plan
        };
        let done = run(&later, &clients).await.unwrap().progress;
        assert_eq!(done.blobs_mounted + done.blobs_moved, 4);
        assert_eq!(done.manifests_stored, 0);
        let target = clients.get(&to.host()).unwrap();
        signed.assert_complete(&target, "prod/shop").await;
    }
}

#[tokio::test]
async fn what_is_gone_is_brought_again_in_a_tree_too_large_to_be_remembered_from_its_survey() {
    let registry = Registry::start();
    let clients = clients([(registry.host(), registry.config())]);
    let client = clients.get(&registry.host()).unwrap();
    let padding = json!({"annotations": {"padding": "x".repeat(2 << 20)}});
    let large = app::said_by_itself(app::image("large", "s390x", &[]), &padding);
    let platform = json!({"platform": {"os": "linux", "architecture": "s390x"}});
    let web = app::multi_arch_with("web", &[(&large, platform)]);
    let digest = web.push(&client, "dev/web", Some("1.0")).await;
    let host = registry.host();
    let plan = plan(
        &repository(&host, "dev/web"),
        &repository(&host, "prod/web"),
        &digest,
        None,
    );
    run(&plan, &clients).await.unwrap();
    assert!(delete_blob(&host, "prod/web", &Digest::of(&large.blobs[1])).await);
    run(&plan, &clients).await.unwrap();
    assert_complete(&client, "prod/web", &web).await;
}

#[tokio::test]
async fn a_large_blob_is_streamed_and_a_broken_download_goes_on_where_it_broke() {
    let (from, to) = (Registry::start(), Registry::start());
    // Every download of a blob breaks after 3 MB, so that each needs several.
    let proxy = Proxy::before(from.address(), |request| {
        if request.method == "GET" && request.path.contains("/blobs/") {
            Fault::CutAnswer(3_000_000)
        } else {
            Fault::None
        }
    })
    .await;
    let clients = clients([(proxy.host(), from.config()), (to.host(), to.config())]);
    let image = app::image("large", "amd64", &[10_000_000]);
    let digest = image
        .push(
            &Client::new(&from.host(), &from.config()).unwrap(),
            "dev/large",
            Some("1.0"),
        )
        .await;
    let plan = plan(
        &repository(&proxy.host(), "dev/large"),
        &repository(&to.host(), "prod/large"),
        &digest,
        None,
    );
    let outcome = run(&plan, &clients).await.unwrap();
    assert_complete(&clients.get(&to.host()).unwrap(), "prod/large", &image).await;
    let size: usize = image.blobs.iter().map(Vec::len).sum();
    assert_eq!(
        outcome.progress.bytes_moved,
        u64::try_from(size).unwrap(),
        "nothing was fetched twice"
    );
    assert!(
        proxy
            .seen()
            .iter()
            .filter(|request| request.range.is_some())
            .count()
            >= 3
    );
}

#[tokio::test]
async fn a_large_blob_may_take_longer_than_a_registry_may_be_silent() {
    let (from, to) = (Registry::start(), Registry::start());
    let proxy = Proxy::before(to.address(), |request| match &*request.method {
        "PUT" if request.path.contains("/blobs/") => Fault::SlowUpload(Duration::from_millis(60)),
        _ => Fault::None,
    })
    .await;
    let impatient = RegistryConfig {
        idle_timeout_seconds: NonZeroU64::MIN,
        max_attempts: NonZeroU32::MIN,
        ..to.config()
    };
    let clients = clients([(from.host(), from.config()), (proxy.host(), impatient)]);
    let image = app::image("large", "amd64", &[20_000_000]);
    let source = clients.get(&from.host()).unwrap();
    let digest = image.push(&source, "dev/large", Some("1.0")).await;
    let plan = plan(
        &repository(&from.host(), "dev/large"),
        &repository(&proxy.host(), "prod/large"),
        &digest,
        None,
    );
    let began = Instant::now();
    run(&plan, &clients).await.unwrap();
    assert!(began.elapsed() > Duration::from_secs(2), "it was slow");
    let target = Client::new(&to.host(), &to.config()).unwrap();
    assert_complete(&target, "prod/large", &image).await;
}

#[tokio::test]
async fn a_list_of_which_nothing_is_left_at_the_source_stops_no_copy() {
    let registry = Registry::start();
    let host = registry.host();
    let clients = clients([(registry.host(), registry.config())]);
    let client = clients.get(&registry.host()).unwrap();
    let web = app::image("web", "amd64", &[]);
    let digest = web.push(&client, "dev/web", Some("1.0")).await;
    let sbom = app::referrer(&web.descriptor(&json!({})), "application/spdx+json", "sbom");
    let gone = sbom.push(&client, "dev/web", None).await;
    let list = app::referrer_list(&[(&sbom, "application/spdx+json")]);
    let tag = fallback_tag(&digest).unwrap();
    list.push(&client, "dev/web", Some(tag.as_str())).await;
    assert!(delete_manifest(&host, "dev/web", &gone).await);
    let plan = plan(
        &repository(&host, "dev/web"),
        &repository(&host, "prod/web"),
        &digest,
        None,
    );
    let done = run(&plan, &clients).await.unwrap();
    assert_eq!(done.lost_referrers, [gone]);
    assert_complete(&client, "prod/web", &web).await;
}

#[tokio::test]
async fn what_is_not_distributable_stays_where_it_is() {
    let registry = Registry::start();
    let clients = clients([(registry.host(), registry.config())]);
    let client = clients.get(&registry.host()).unwrap();
    let mut image = app::image("windows", "amd64", &[]);
    let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifests[0].1).unwrap();
    let mut layer = app::descriptor(
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        b"not ours to give",
    );
    layer["urls"] = json!(["https://layers.example/base"]);
    manifest["layers"].as_array_mut().unwrap().push(layer);
    image.manifests[0].1 = manifest.to_string().into_bytes();
    let digest = image.push(&client, "dev/windows", Some("1.0")).await;
    let host = registry.host();
    let plan = plan(
        &repository(&host, "dev/windows"),
        &repository(&host, "prod/windows"),
        &digest,
        None,
    );
    run(&plan, &clients).await.unwrap();
    assert_complete(&client, "prod/windows", &image).await;
}

#[tokio::test]
async fn f36_signatures_that_the_target_has_besides_are_not_lost() {
    let registry = Registry::start();
    let clients = clients([(registry.host(), registry.config())]);
    let client = clients.get(&registry.host()).unwrap();
    let image = app::image("web", "amd64", &[]);
    let digest = image.push(&client, "dev/web", Some("1.0")).await;
    let sig = format!("{}.sig", fallback_tag(&digest).unwrap());
    let list = fallback_tag(&digest).unwrap().to_string();
    let (sbom, scan) = (
        app::referrer(
            &image.descriptor(&json!({})),
            "application/spdx+json",
            "sbom",
        ),
        app::referrer(
            &image.descriptor(&json!({})),
            "application/sarif+json",
            "scan",
        ),
    );
    sbom.push(&client, "dev/web", None).await;
    app::referrer_list(&[(&sbom, "application/spdx+json")])
        .push(&client, "dev/web", Some(&list))
        .await;
    image.push(&client, "prod/web", None).await;
    scan.push(&client, "prod/web", None).await;
    app::referrer_list(&[(&scan, "application/sarif+json")])
        .push(&client, "prod/web", Some(&list))
        .await;
    let host = registry.host();
    let plan = plan(
        &repository(&host, "dev/web"),
        &repository(&host, "prod/web"),
        &digest,
        None,
    );

    // More signatures at the source replace fewer, fewer leave more alone, others are a conflict.
    let signed = |payloads: &[&str]| app::cosign_signature(payloads);
    signed(&["a", "b"])
        .push(&client, "dev/web", Some(&sig))
        .await;
    signed(&["a"]).push(&client, "prod/web", Some(&sig)).await;
    run(&plan, &clients).await.unwrap();
    assert_eq!(
        tag(&client, "prod/web", &sig).await,
        Some(signed(&["a", "b"]).digest())
    );

    let listed = client.referrers("prod/web", &digest).await.unwrap();
    let mut kinds: Vec<_> = listed
        .descriptors
        .iter()
        .filter_map(|listed| listed.artifact_type.as_deref())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["application/sarif+json", "application/spdx+json"]);

    signed(&["a"]).push(&client, "dev/web", Some(&sig)).await;
    run(&plan, &clients).await.unwrap();
    assert_eq!(
        tag(&client, "prod/web", &sig).await,
        Some(signed(&["a", "b"]).digest())
    );

    signed(&["c"]).push(&client, "dev/web", Some(&sig)).await;
    let error = run(&plan, &clients).await.unwrap_err();
    assert!(
        matches!(error, CopyError::ReferrerConflict { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_login_with_tokens_may_mount_between_repositories() {
    let tokens = support::token::TokenServer::start().await;
    let registry = Registry::start_with(&Options {
        access: tokens.access(),
        ..Options::default()
    });
    let clients = clients([(registry.host(), as_dev(registry.config()))]);
    let client = clients.get(&registry.host()).unwrap();
    let application = app::application("shop", &["web"], &[]);
    let digest = application.push(&client, "dev/shop", Some("1.0")).await;
    let host = registry.host();
    let plan = plan(
        &repository(&host, "dev/shop"),
        &repository(&host, "prod/shop"),
        &digest,
        None,
    );
    let outcome = run(&plan, &clients).await.unwrap();
    assert_eq!(outcome.progress.bytes_moved, 0);
    assert_complete(&client, "prod/shop", &application).await;
    assert!(
        tokens.fetched() < 12,
        "tokens are kept: {} were fetched",
        tokens.fetched()
    );
}

#[tokio::test]
async fn a_login_by_htpasswd_may_mount_between_repositories() {
    let registry = Registry::start_with(&Options {
        access: Access::Htpasswd,
        ..Options::default()
    });
    let clients = clients([(registry.host(), as_dev(registry.config()))]);
    let client = clients.get(&registry.host()).unwrap();
    let image = app::image("web", "amd64", &[]);
    let digest = image.push(&client, "dev/web", Some("1.0")).await;
    let host = registry.host();
    let plan = plan(
        &repository(&host, "dev/web"),
        &repository(&host, "prod/web"),
        &digest,
        None,
    );
    assert_eq!(run(&plan, &clients).await.unwrap().progress.bytes_moved, 0);
}

#[tokio::test]
async fn registries_of_a_private_authority_are_refused_with_the_remedies_and_copied_between_with_it()
 {
    let authority = Authority::new("Example Corp Root");
    let start = |access: Access| {
        Registry::start_with(&Options {
            access,
            tls: Some(authority.issue("DNS:localhost,IP:127.0.0.1", 30)),
            ..Options::default()
        })
    };
    let (from, to) = (start(Access::Open), start(Access::Htpasswd));
    let trusting = || RegistryConfig {
        ca_file: Some(authority.certificate()),
        ..quiet()
    };
    let known = clients([(from.host(), trusting()), (to.host(), as_dev(trusting()))]);
    let source = known.get(&from.host()).unwrap();
    let target = known.get(&to.host()).unwrap();
    let signed = Signed::push(&source, "dev/shop").await;
    let plan = plan(
        &repository(&from.host(), "dev/shop"),
        &repository(&to.host(), "prod/shop"),
        &signed.application.digest(),
        None,
    );
    let unknown = clients([(from.host(), trusting()), (to.host(), as_dev(quiet()))]);
    let error = run(&plan, &unknown).await.unwrap_err();
    assert!(!error.is_retryable());
    for part in [
        &*to.host(),
        "Example Corp Root",
        "`ca_file`",
        "`insecure = true`",
    ] {
        assert!(error.to_string().contains(part), "no `{part}` in: {error}");
    }
    run(&plan, &known).await.unwrap();
    signed.assert_complete(&target, "prod/shop").await;
}

#[tokio::test]
async fn a_copy_may_go_to_another_tag_of_the_same_repository() {
    let registry = Registry::start();
    let clients = clients([(registry.host(), registry.config())]);
    let client = clients.get(&registry.host()).unwrap();
    let digest = app::image("web", "amd64", &[])
        .push(&client, "team/web", Some("candidate"))
        .await;
    let repository = repository(&registry.host(), "team/web");
    run(&plan(&repository, &repository, &digest, None), &clients)
        .await
        .unwrap();
    assert_eq!(tag(&client, "team/web", "1.0").await, Some(digest));
}

#[tokio::test]
async fn one_place_at_a_time_is_enough() {
    let registry = Registry::start();
    let proxy = Proxy::before(registry.address(), |_| Fault::None).await;
    let config = RegistryConfig {
        max_concurrent: 1.try_into().unwrap(),
        ..registry.config()
    };
    let clients = clients([(proxy.host(), config.clone()), (registry.host(), config)]);
    let image = app::image("web", "amd64", &[3_000_000]);
    let digest = image
        .push(
            &clients.get(&registry.host()).unwrap(),
            "dev/web",
            Some("1.0"),
        )
        .await;
    // Named differently, it is another registry, and its blobs are moved through both names.
    let plan = plan(
        &repository(&proxy.host(), "dev/web"),
        &repository(&registry.host(), "prod/web"),
        &digest,
        None,
    );
    let done = tokio::time::timeout(Duration::from_secs(60), run(&plan, &clients)).await;
    assert!(done.expect("no deadlock").unwrap().progress.bytes_moved > 3_000_000);
}
