//! The client's requests, against a real registry and against answers that real ones give
//! elsewhere.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use support::{
    app,
    proxy::{Fault, Proxy},
    registry::{Registry, quiet},
    stub::{Reply, Stub},
};
use weir_engine::oci::{
    Client, LIST_LIMIT, MANIFEST_LIMIT, Mount, OciError, Reference, RegistryConfig, fallback_tag,
    media_type,
};
use weir_schema::{Digest, Tag};

fn plain() -> RegistryConfig {
    RegistryConfig {
        insecure: true,
        ..quiet()
    }
}

fn tag(text: &str) -> Reference {
    Reference::Tag(text.parse::<Tag>().unwrap())
}

async fn stub(
    config: RegistryConfig,
    reply: impl Fn(&support::stub::Request) -> Reply + Clone + Send + Sync + 'static,
) -> (Stub, Client) {
    let stub = Stub::start(reply).await;
    let client = Client::new(
        &stub.host(),
        &RegistryConfig {
            insecure: true,
            ..config
        },
    )
    .unwrap();
    (stub, client)
}

#[tokio::test]
async fn manifests_are_stored_and_read_as_the_bytes_they_are() {
    let registry = Registry::start();
    let client = Client::new(&registry.host(), &registry.config()).unwrap();
    let application = app::application("shop", &["web"], &[]);
    let digest = application.push(&client, "dev/shop", Some("1.0")).await;

    let head = client
        .head_manifest("dev/shop", &tag("1.0"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (head.digest, head.media_type.as_deref()),
        (digest.clone(), Some(media_type::OCI_INDEX))
    );
    for (kind, bytes) in &application.manifests {
        let there = client
            .get_manifest("dev/shop", &Digest::of(bytes).into())
            .await
            .unwrap();
        assert_eq!(
            (&there.bytes[..], there.content_type.as_ref()),
            (&bytes[..], Some(kind))
        );
    }
    assert_eq!(
        client.head_manifest("dev/shop", &tag("2.0")).await.unwrap(),
        None
    );
    assert!(
        client
            .get_manifest("dev/shop", &tag("2.0"))
            .await
            .unwrap_err()
            .is_not_found()
    );

    assert_eq!(
        client.tags("dev/shop").await.unwrap(),
        ["1.0".parse().unwrap()]
    );
    assert_eq!(client.tags("no/such").await.unwrap(), []);
    assert_eq!(client.catalog().await.unwrap(), ["dev/shop"]);
}

#[tokio::test]
async fn an_index_whose_children_are_missing_is_refused_with_the_registrys_words() {
    let registry = Registry::start();
    let client = Client::new(&registry.host(), &registry.config()).unwrap();
    let (kind, bytes) = app::multi_arch("cache", &[]).manifests.pop().unwrap();
    let reference = Reference::Digest(Digest::of(&bytes));
    let error = client
        .put_manifest("dev/cache", &reference, &kind, bytes.into())
        .await
        .unwrap_err();
    let OciError::Refused { codes, status, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (
            *status,
            codes.iter().all(|code| code == "MANIFEST_BLOB_UNKNOWN")
        ),
        (400, true),
        "{error}"
    );
    assert!(
        error.to_string().contains("blob unknown to registry"),
        "{error}"
    );
}

#[tokio::test]
async fn a_mount_that_is_declined_becomes_an_upload_on_the_session_given() {
    let registry = Registry::start();
    let client = Client::new(&registry.host(), &registry.config()).unwrap();
    let blob = b"not yet anywhere".to_vec();
    let digest = Digest::of(&blob);
    let Mount::Declined(upload) = client
        .mount_blob("prod/web", &digest, "dev/web")
        .await
        .unwrap()
    else {
        panic!("there is nothing to mount");
    };
    client
        .finish_upload(upload, &digest, blob.clone().into())
        .await
        .unwrap();
    assert!(client.has_blob("prod/web", &digest).await.unwrap());
    assert_eq!(
        client.get_blob("prod/web", &digest, 1024).await.unwrap(),
        blob
    );
    assert!(matches!(
        client
            .mount_blob("other/web", &digest, "prod/web")
            .await
            .unwrap(),
        Mount::Done
    ));
}

#[tokio::test]
async fn where_an_upload_leads_is_told_without_what_may_be_secret() {
    let said = async |location: fn(&str) -> String, status: u16| {
        let (stub, client) = stub(quiet(), move |request| match &*request.method {
            "POST" => Reply::status(202).header("location", &location(&request.host)),
            _ => Reply::status(status),
        })
        .await;
        let upload = client.start_upload("dev/web").await.unwrap();
        let digest = Digest::of(b"");
        let sent = client.finish_upload(upload, &digest, Vec::new().into());
        let error = sent.await.unwrap_err().to_string();
        assert!(
            !error.contains("hunter2") && !error.contains("s3cret"),
            "{error}"
        );
        (error, stub)
    };
    let (error, _) = said(
        |host| format!("http://bob:hunter2@{host}/up?sig=s3cret"),
        500,
    )
    .await;
    assert!(error.contains("answered 500"), "{error}");
    let (error, _) = said(|_| "http://bob:hunter2@[/up?sig=s3cret".to_owned(), 500).await;
    assert!(error.contains("it leads on to `[/up`"), "{error}");
    // Relative to what was asked for.
    let (_, stub) = said(|_| "one?state=s3cret".to_owned(), 400).await;
    let paths = stub.seen().into_iter().map(|request| request.path);
    let sent = paths.filter(|path| path.starts_with("/v2/dev/web/blobs/uploads/one?state="));
    assert_eq!(sent.count(), 1);
}

#[tokio::test]
async fn a_registry_may_be_reached_elsewhere_than_its_name_says() {
    let registry = Registry::start();
    let config = RegistryConfig {
        host: Some(registry.host()),
        ..registry.config()
    };
    let client = Client::new("registry.example", &config).unwrap();
    client.ping().await.unwrap();
    assert_eq!(client.registry(), "registry.example");
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let (_stub, client) = stub(quiet(), |request| match request.path.as_str() {
        "/v2/" => Reply::status(200),
        "/v2/a/tags/list?n=1000" => Reply::status(200)
            .header("link", "</v2/a/tags/list?n=2&last=2>; rel=\"next\"")
            .body(r#"{"name":"a","tags":["1","2"]}"#),
        "/v2/a/tags/list?n=2&last=2" => Reply::status(200).body(r#"{"name":"a","tags":["3"]}"#),
        "/v2/null/tags/list?n=1000" => Reply::status(200).body(r#"{"name":"null","tags":null}"#),
        _ => Reply::status(200)
            .header("link", "</v2/round>; rel=\"next\"")
            .body(r#"{"tags":["1"]}"#),
    })
    .await;
    let tags = client.tags("a").await.unwrap();
    assert_eq!(
        tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
        ["1", "2", "3"]
    );
    assert_eq!(client.tags("null").await.unwrap(), []);
    let error = client.tags("round").await.unwrap_err();
    assert!(error.to_string().contains("do not end"), "{error}");
}

#[tokio::test]
async fn a_list_that_grows_and_grows_is_not_read_to_its_end() {
    let megabyte = vec![b' '; 1 << 20];
    let (stub, client) = stub(quiet(), move |request| {
        let (list, last) = request.path.rsplit_once(['?', '=']).unwrap_or_default();
        let last = last.parse().unwrap_or(0) + 1;
        let next = format!(
            "<{}?last={last}>; rel=\"next\"",
            list.trim_end_matches("?last")
        );
        let page = Reply::status(200).header("link", &next);
        page.body([b"{}".as_slice(), &megabyte].concat())
    })
    .await;
    let most = LIST_LIMIT >> 20;
    let subject = Digest::of(b"subject");
    let errors = [
        client.catalog().await.unwrap_err(),
        client.tags("a").await.unwrap_err(),
        client.referrers("a", &subject).await.unwrap_err(),
    ];
    for error in errors {
        assert!(
            matches!(error, OciError::ListTooLong { .. }) && !error.is_retryable(),
            "{error}"
        );
        assert!(error.to_string().contains(&stub.host()), "{error}");
    }
    assert!(stub.seen().len() <= 3 * most + 1, "{}", stub.seen().len());
}

#[tokio::test]
async fn referrers_come_from_the_api_and_from_the_tag() {
    let subject = Digest::of(b"subject");
    let list = |name: &str| {
        let entry = app::descriptor(media_type::OCI_MANIFEST, name.as_bytes());
        serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry]}).to_string()
    };
    let (api, by_tag) = (list("from the api"), list("from the tag"));
    let tag_path = format!("/v2/a/manifests/{}", fallback_tag(&subject).unwrap());
    let (_stub, client) = stub(quiet(), move |request| {
        if request.path.contains("/referrers/") {
            Reply::status(200).body(api.clone())
        } else if request.path == tag_path {
            Reply::status(200).body(by_tag.clone())
        } else {
            Reply::status(200)
        }
    })
    .await;
    let found = client.referrers("a", &subject).await.unwrap();
    let mut expected = [Digest::of(b"from the api"), Digest::of(b"from the tag")];
    expected.sort();
    assert!(found.has_api && found.fallback.is_some());
    assert_eq!(
        found
            .descriptors
            .into_iter()
            .map(|found| found.digest)
            .collect::<Vec<_>>(),
        expected
    );
}

/// How often the referrers API was asked.
fn asked_for_referrers(stub: &Stub) -> usize {
    let seen = stub.seen();
    let asked = seen
        .iter()
        .filter(|request| request.path.contains("/referrers/"));
    asked.count()
}

#[tokio::test]
async fn a_registry_without_a_referrers_api_is_not_asked_each_time() {
    let (stub, client) = stub(quiet(), |request| match &*request.path {
        "/v2/" => Reply::status(200),
        _ => Reply::status(404).body("404 page not found"),
    })
    .await;
    for subject in ["one", "another"] {
        let subject = Digest::of(subject.as_bytes());
        let found = client.referrers("a", &subject).await.unwrap();
        assert!(!found.has_api && found.descriptors.is_empty());
    }
    assert_eq!(asked_for_referrers(&stub), 1);
}

#[tokio::test]
async fn an_ingress_whose_registry_restarts_does_not_say_that_there_are_no_referrers() {
    let up = Arc::new(AtomicBool::new(false));
    let (stub, client) = stub(quiet(), {
        let up = Arc::clone(&up);
        move |request| match up.load(Ordering::SeqCst) {
            false => Reply::status(404).body("default backend - 404"),
            true if request.path.contains("/referrers/") => {
                let entry = app::descriptor(media_type::OCI_MANIFEST, b"signature");
                Reply::status(200).body(serde_json::json!({"manifests": [entry]}).to_string())
            }
            true => Reply::status(404),
        }
    })
    .await;
    let subject = Digest::of(b"subject");
    let error = client.referrers("a", &subject).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("answered 404"), "{error}");
    up.store(true, Ordering::SeqCst);
    let found = client.referrers("a", &subject).await.unwrap();
    assert!(found.has_api);
    assert_eq!(found.descriptors[0].digest, Digest::of(b"signature"));
    assert_eq!(asked_for_referrers(&stub), 2);
}

#[tokio::test]
async fn content_that_is_not_what_its_digest_says_is_refused() {
    let config = RegistryConfig {
        max_attempts: 1.try_into().unwrap(),
        ..quiet()
    };
    let (_stub, client) = stub(config, |_| Reply::status(200).body("something else")).await;
    let digest = Digest::of(b"what was asked for");
    let manifest = client
        .get_manifest("a", &digest.clone().into())
        .await
        .unwrap_err();
    let blob = client.get_blob("a", &digest, 1024).await.unwrap_err();
    for error in [manifest, blob] {
        assert!(matches!(error, OciError::WrongDigest { .. }), "{error}");
    }
}

#[tokio::test]
async fn f20_a_digest_that_a_registry_shortens_is_not_believed() {
    let (_stub, client) = stub(quiet(), |_| {
        Reply::status(200).header("docker-content-digest", "sha256:91ef6")
    })
    .await;
    let error = client.head_manifest("a", &tag("1.0")).await.unwrap_err();
    assert!(matches!(error, OciError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_larger_than_a_manifest_may_be_is_not_read() {
    let (_stub, client) = stub(quiet(), |_| {
        Reply::status(200).body(vec![b' '; MANIFEST_LIMIT + 1])
    })
    .await;
    let error = client.get_manifest("a", &tag("1.0")).await.unwrap_err();
    assert!(
        matches!(error, OciError::TooLarge { .. }) && !error.is_retryable(),
        "{error}"
    );
}

#[tokio::test]
async fn a_manifest_stored_without_a_location_in_the_answer_is_stored() {
    let (_stub, client) = stub(quiet(), |_| Reply::status(201)).await;
    let bytes = b"{}".to_vec();
    let reference = Reference::Digest(Digest::of(&bytes));
    client
        .put_manifest("a", &reference, media_type::OCI_INDEX, bytes.into())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_tag_is_set_once_and_never_again_blindly() {
    let registry = Registry::start();
    let proxy = Proxy::before(registry.address(), |request| {
        if request.method == "PUT" {
            Fault::CutAfter
        } else {
            Fault::None
        }
    })
    .await;
    let client = Client::new(&proxy.host(), &plain()).unwrap();
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
    let bytes = index.to_string().into_bytes();
    let error = client
        .put_manifest("a", &tag("1.0"), media_type::OCI_INDEX, bytes.into())
        .await
        .unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(proxy.writes(), 1);
}

#[tokio::test]
async fn no_more_requests_run_at_a_time_than_configured() {
    for most in [1, 3] {
        let config = RegistryConfig {
            max_concurrent: most.try_into().unwrap(),
            ..quiet()
        };
        let (stub, client) = stub(config, |_| {
            Reply::status(404).after(Duration::from_millis(20))
        })
        .await;
        let digests: Vec<Digest> = (0..12u8).map(|n| Digest::of(&[n])).collect();
        futures_util::future::join_all(digests.iter().map(|digest| client.has_blob("a", digest)))
            .await;
        assert_eq!(stub.most_at_a_time(), usize::try_from(most).unwrap());
    }
}

#[tokio::test]
async fn no_more_requests_are_sent_in_a_second_than_configured() {
    let config = RegistryConfig {
        requests_per_second: Some(20.try_into().unwrap()),
        ..quiet()
    };
    let (_stub, client) = stub(config, |_| Reply::status(404)).await;
    let began = Instant::now();
    for _ in 0..11 {
        client.has_blob("a", &Digest::of(b"")).await.unwrap();
    }
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_registry_that_falls_silent_is_not_waited_for() {
    let config = RegistryConfig {
        idle_timeout_seconds: 1.try_into().unwrap(),
        max_attempts: 1.try_into().unwrap(),
        ..quiet()
    };
    let (_stub, client) = stub(config, |request| {
        let pause = if request.path == "/v2/" { 0 } else { 60 };
        Reply::status(200).after(Duration::from_secs(pause))
    })
    .await;
    let began = Instant::now();
    let error = client.has_blob("a", &Digest::of(b"")).await.unwrap_err();
    assert!(
        error.is_retryable() && began.elapsed() < Duration::from_secs(20),
        "{error}"
    );
    assert!(error.to_string().contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn an_answer_that_trickles_is_not_waited_for() {
    let config = RegistryConfig {
        idle_timeout_seconds: 1.try_into().unwrap(),
        ..quiet()
    };
    let (stub, client) = stub(config, |_| {
        let slow = Reply::status(200).body(vec![b' '; 10_000]);
        slow.trickling(Duration::from_millis(100))
    })
    .await;
    let began = Instant::now();
    let reference = Reference::Digest(Digest::of(b"x"));
    let (manifest, list) = tokio::join!(client.get_manifest("a", &reference), client.tags("a"),);
    for error in [manifest.unwrap_err(), list.unwrap_err()] {
        assert!(
            error.is_retryable() && error.to_string().contains("not whole in time"),
            "{error}"
        );
    }
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(
        stub.seen().len(),
        2 + 1,
        "each is tried once, after TLS is found out about"
    );
}

#[tokio::test]
async fn a_list_whose_pages_come_one_by_one_for_ever_is_not_waited_for() {
    let config = RegistryConfig {
        idle_timeout_seconds: 1.try_into().unwrap(),
        ..quiet()
    };
    let (stub, client) = stub(config, |request| {
        let next = format!("<{}0>; rel=\"next\"", request.path);
        let page = Reply::status(200).header("link", &next).body("{}");
        page.after(Duration::from_millis(if request.path == "/v2/" {
            0
        } else {
            900
        }))
    })
    .await;
    let error = client.catalog().await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("have not ended after 20 s"),
        "{error}"
    );
    assert!(stub.seen().len() < 30, "{}", stub.seen().len());
}
