//! Copies that must not complete, or not yet: what stops them, what they say, and that the target
//! tag is left alone.

mod support;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use support::{
    app::{self, Content},
    proxy::{Fault, Proxy, Request},
    registry::{Registry, clients, delete_blob, delete_manifest, quiet},
    stub::Stub,
};
use weir_engine::{
    copy::{self, CopyError, Outcome, Plan, Progress},
    oci::{Client, Clients, RegistryConfig},
};
use weir_schema::{Digest, Tag};

/// A registry with `dev/shop:1.0`, a proxy before it, and a plan to copy it to `prod/shop:1.0`.
struct Scene {
    registry: Registry,
    proxy: Proxy,
    direct: Client,
    clients: Clients,
    application: Content,
    plan: Plan,
}

impl Scene {
    async fn new(decide: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Self {
        Self::with(RegistryConfig::default(), decide).await
    }

    async fn with(
        config: RegistryConfig,
        decide: impl Fn(&Request) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let registry = Registry::start();
        let proxy = Proxy::before(registry.address(), decide).await;
        let direct = Client::new(&registry.host(), &registry.config()).unwrap();
        let application = app::application("shop", &["web"], &[2000]);
        let digest = application.push(&direct, "dev/shop", Some("1.0")).await;
        let config = RegistryConfig {
            insecure: true,
            find_credentials: false,
            ..config
        };
        let plan = Plan {
            digest,
            source: format!("{}/dev/shop", proxy.host()).parse().unwrap(),
            source_tag: Some("1.0".parse().unwrap()),
            target: format!("{}/prod/shop", proxy.host()).parse().unwrap(),
            target_tag: "1.0".parse().unwrap(),
            expected: None,
            known_referrers: Default::default(),
        };
        Self {
            clients: clients([(proxy.host(), config)]),
            registry,
            proxy,
            direct,
            application,
            plan,
        }
    }

    async fn run(&self) -> Result<Outcome, CopyError> {
        copy::run(&self.plan, &self.clients, Arc::new(|_| {})).await
    }

    /// Runs, and does `meanwhile` once `when` is so.
    async fn run_meanwhile<F>(
        &self,
        when: impl Fn(Progress) -> bool + Send + Sync + 'static,
        meanwhile: impl Fn(Client) -> F + Send + Sync + 'static,
    ) -> Result<Outcome, CopyError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (direct, done) = (self.direct.clone(), AtomicBool::new(false));
        let runtime = tokio::runtime::Handle::current();
        let progress = move |now| {
            if when(now) && !done.swap(true, Ordering::SeqCst) {
                // On another thread, so that no task that waits for this one has to do it.
                let (runtime, doing) = (runtime.clone(), meanwhile(direct.clone()));
                let other = std::thread::spawn(move || runtime.block_on(doing));
                tokio::task::block_in_place(|| other.join().unwrap());
            }
        };
        copy::run(&self.plan, &self.clients, Arc::new(progress)).await
    }

    async fn target(&self) -> Option<Digest> {
        tag(&self.direct, "prod/shop").await
    }
}

async fn tag(client: &Client, path: &str) -> Option<Digest> {
    let tag: Tag = "1.0".parse().unwrap();
    client
        .head_manifest(path, &tag.into())
        .await
        .unwrap()
        .map(|head| head.digest)
}

fn other() -> Content {
    app::image("other", "amd64", &[])
}

#[tokio::test]
async fn f21_a_target_that_is_not_what_the_decision_saw_is_left_alone() {
    let scene = Scene::new(|_| Fault::None).await;
    let found = other().push(&scene.direct, "prod/shop", Some("1.0")).await;
    let error = scene.run().await.unwrap_err();
    assert!(
        matches!(error, CopyError::TargetMoved { .. }) && !error.is_retryable(),
        "{error}"
    );
    assert!(
        error.to_string().contains(&found.to_string()) && error.to_string().contains("absent"),
        "{error}"
    );
    assert_eq!(scene.target().await, Some(found));
    assert_eq!(
        scene.proxy.writes(),
        0,
        "it is seen before anything is copied"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn f21_a_target_that_moves_during_the_copy_is_left_alone() {
    let scene = Scene::new(|_| Fault::None).await;
    let moved = |client: Client| async move {
        other().push(&client, "prod/shop", Some("1.0")).await;
    };
    let error = scene
        .run_meanwhile(|now| now.manifests_stored == 2, moved)
        .await
        .unwrap_err();
    assert!(
        matches!(error, CopyError::TargetMoved { .. }) && !error.is_superseded(),
        "{error}"
    );
    assert_eq!(scene.target().await, Some(other().digest()));
}

#[tokio::test]
async fn e30_a_source_tag_that_moved_before_the_copy_began_supersedes_it() {
    let scene = Scene::new(|_| Fault::None).await;
    other().push(&scene.direct, "dev/shop", Some("1.0")).await;
    let error = scene.run().await.unwrap_err();
    assert!(matches!(error, CopyError::Superseded { .. }), "{error}");
    assert_eq!((scene.target().await, scene.proxy.writes()), (None, 0));
    // Gone is not moved: it may be there again.
    let plan = Plan {
        source_tag: Some("none".parse().unwrap()),
        ..scene.plan.clone()
    };
    let absent = copy::run(&plan, &scene.clients, Arc::new(|_| {})).await;
    let absent = absent.unwrap_err();
    assert!(matches!(absent, CopyError::SourceAbsent { .. }), "{absent}");
    assert!(absent.is_retryable() && scene.proxy.writes() == 0);
    // Once begun, the copy completes with the digest that was judged.
    let plan = Plan {
        source_tag: None,
        ..scene.plan.clone()
    };
    copy::run(&plan, &scene.clients, Arc::new(|_| {}))
        .await
        .unwrap();
    assert_eq!(scene.target().await, Some(scene.plan.digest.clone()));
}

#[tokio::test]
async fn f28_a_child_that_the_source_no_longer_has_stops_the_copy_before_it_begins() {
    let scene = Scene::new(|_| Fault::None).await;
    let gone = app::image("shop-cache", "arm64", &[2000]).digest();
    assert!(delete_manifest(&scene.registry.host(), "dev/shop", &gone).await);
    let error = scene.run().await.unwrap_err();
    assert!(
        matches!(&error, CopyError::SourceMissing { digest, .. } if *digest == gone),
        "{error}"
    );
    // It may be there again, in a registry whose parts do not agree yet.
    assert!(error.is_retryable());
    assert_eq!((scene.target().await, scene.proxy.writes()), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn f28_children_collected_during_the_copy_stop_it_and_the_tag_stays() {
    let scene = Scene::new(|_| Fault::None).await;
    let all = u64::try_from(scene.application.manifests.len()).unwrap();
    let leaves: Vec<Digest> = scene
        .application
        .manifests
        .iter()
        .map(|(_, bytes)| Digest::of(bytes))
        .collect();
    let host = scene.registry.host();
    let collect = move |_| {
        let (host, leaves) = (host.clone(), leaves.clone());
        async move {
            for leaf in leaves {
                delete_manifest(&host, "dev/shop", &leaf).await;
            }
        }
    };
    let error = scene
        .run_meanwhile(move |now| now.manifests == all, collect)
        .await
        .unwrap_err();
    assert!(matches!(error, CopyError::SourceMissing { .. }), "{error}");
    assert_eq!(scene.target().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn f28_children_collected_at_the_target_before_its_tag_is_set_are_copied_again() {
    let host: Arc<OnceLock<String>> = Arc::default();
    let application = app::application("shop", &["web"], &[2000]);
    let collect = {
        let (host, done) = (Arc::clone(&host), AtomicBool::new(false));
        move |request: &Request| {
            let is_tag = request.method == "PUT" && request.path.ends_with("/manifests/1.0");
            if is_tag && !done.swap(true, Ordering::SeqCst) {
                collect_children(host.get().unwrap(), "prod/shop", &application);
            }
            Fault::None
        }
    };
    let scene = Scene::new(collect).await;
    host.set(scene.registry.host()).unwrap();
    let error = scene.run().await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(scene.target().await, None);
    scene.run().await.unwrap();
    assert_eq!(scene.target().await, Some(scene.plan.digest.clone()));
}

/// Deletes all that is below an application, from a thread that may wait for it.
fn collect_children(host: &str, repository: &str, application: &Content) {
    let (_, children) = application.manifests.split_last().unwrap();
    let delete = async {
        for (_, bytes) in children {
            delete_manifest(host, repository, &Digest::of(bytes)).await;
        }
    };
    let wait = || tokio::runtime::Runtime::new().unwrap().block_on(delete);
    std::thread::scope(|scope| scope.spawn(wait).join().unwrap());
}

#[tokio::test]
async fn e33_an_immutable_target_is_a_refusal_that_is_not_tried_again() {
    for status in ["412 Precondition Failed", "409 Conflict", "400 Bad Request"] {
        let scene = Scene::new(move |request| {
            let is_tag = request.method == "PUT" && request.path.ends_with("/manifests/1.0");
            if is_tag {
                Fault::Answer(status)
            } else {
                Fault::None
            }
        })
        .await;
        let error = scene.run().await.unwrap_err();
        assert!(
            matches!(error, CopyError::TagRefused { .. }) && !error.is_retryable(),
            "{error}"
        );
        let tries = scene
            .proxy
            .seen()
            .iter()
            .filter(|r| r.method == "PUT" && r.path.ends_with("/1.0"))
            .count();
        assert_eq!(tries, 1);
    }
}

#[tokio::test]
async fn a_tag_refused_with_403_is_told_in_the_words_of_the_registry() {
    let scene = Scene::new(|request| {
        let is_tag = request.method == "PUT" && request.path.ends_with("/manifests/1.0");
        match is_tag {
            true => Fault::Refuse(
                "403 Forbidden",
                r#"{"errors":[{"code":"DENIED","message":"immutable tag"}]}"#,
            ),
            false => Fault::None,
        }
    })
    .await;
    let error = scene.run().await.unwrap_err();
    assert!(
        matches!(error, CopyError::TagRefused { .. }) && !error.is_retryable(),
        "{error}"
    );
    let told = error.to_string();
    assert!(told.contains("(it says: DENIED immutable tag)"), "{told}");
    assert!(!told.contains("a login is needed"), "{told}");
}

#[tokio::test]
async fn a_manifest_that_is_image_and_index_at_once_is_not_copied() {
    // The registry refuses such manifests, so one is put where it keeps its content.
    let scene = Scene::new(|_| Fault::None).await;
    let double = serde_json::json!({
        "schemaVersion": 2,
        "config": app::descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        "manifests": [app::descriptor("application/vnd.oci.image.manifest.v1+json", b"{}")],
    });
    let bytes = double.to_string().into_bytes();
    let digest = scene.registry.plant_manifest("dev/shop", &bytes);
    let plan = Plan {
        digest,
        source_tag: None,
        ..scene.plan.clone()
    };
    let error = copy::run(&plan, &scene.clients, Arc::new(|_| {}))
        .await
        .unwrap_err();
    assert!(
        matches!(error, CopyError::Invalid { .. } | CopyError::Registry(_))
            && !error.is_superseded(),
        "{error}"
    );
    assert_eq!(scene.proxy.writes(), 0);
}

#[tokio::test]
async fn where_nothing_is_mounted_the_bytes_are_moved() {
    for refused in ["405 Method Not Allowed", "403 Forbidden", "404 Not Found"] {
        let scene = Scene::new(move |request| match request.path.contains("mount=") {
            true => Fault::Answer(refused),
            false => Fault::None,
        })
        .await;
        let done = scene.run().await.unwrap().progress;
        assert!(done.blobs_moved > 0 && done.blobs_mounted == 0, "{refused}");
        assert_eq!(scene.target().await, Some(scene.plan.digest.clone()));
    }
}

#[tokio::test]
async fn an_upload_that_a_registry_forgot_begins_again() {
    let forgotten = AtomicBool::new(false);
    let scene = Scene::new(move |request| match &*request.method {
        "POST" if request.path.contains("mount=") => Fault::Answer("405 Method Not Allowed"),
        "PUT" if request.path.contains("/uploads/") && !forgotten.swap(true, Ordering::SeqCst) => {
            Fault::Refuse(
                "404 Not Found",
                r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}"#,
            )
        }
        _ => Fault::None,
    })
    .await;
    scene.run().await.unwrap();
    assert_eq!(scene.target().await, Some(scene.plan.digest.clone()));
}

#[tokio::test]
async fn a_404_in_which_no_registry_speaks_is_tried_again() {
    for method in ["POST", "PUT"] {
        let scene = Scene::new(move |request| match &*request.method {
            "POST" if request.path.contains("mount=") => Fault::Answer("405 Method Not Allowed"),
            asked if asked == method => Fault::Answer("404 Not Found"),
            _ => Fault::None,
        })
        .await;
        let error = scene.run().await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert!(error.to_string().contains("not found"), "{error}");
        assert_eq!(scene.target().await, None);
    }
}

#[tokio::test]
async fn a_registry_that_asks_for_patience_gets_it() {
    let scene = Scene::new(|request| match request.number {
        5 | 20 => Fault::Answer("429 Too Many Requests\r\nRetry-After: 1"),
        9 | 10 | 30 => Fault::Answer("503 Service Unavailable"),
        12 | 33 => Fault::Answer("500 Internal Server Error"),
        15 => Fault::Slow(Duration::from_millis(300)),
        _ => Fault::None,
    })
    .await;
    let began = Instant::now();
    scene.run().await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(scene.target().await, Some(scene.plan.digest.clone()));
}

#[tokio::test]
async fn a_registry_that_asks_for_more_patience_than_a_request_has_says_when_to_come_back() {
    let scene = Scene::new(|request| {
        if request.number > 10 {
            Fault::Answer("429 Too Many Requests\r\nRetry-After: 120")
        } else {
            Fault::None
        }
    })
    .await;
    let began = Instant::now();
    let error = scene.run().await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_registry_that_stays_broken_is_left_after_the_configured_tries() {
    let config = RegistryConfig {
        max_attempts: 3.try_into().unwrap(),
        max_backoff_seconds: 1,
        ..RegistryConfig::default()
    };
    let scene = Scene::with(config, |_| Fault::Answer("500 Internal Server Error")).await;
    let error = scene.run().await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("500"),
        "{error}"
    );
    // One request finds out about TLS, and one is tried three times.
    assert_eq!(scene.proxy.seen().len(), 1 + 3);
}

/// A target that takes everything and keeps nothing of what `is_lost` says.
async fn forgetful(is_lost: fn(&Request) -> Option<&'static str>) -> Scene {
    Scene::new(move |request| is_lost(request).map_or(Fault::None, Fault::Answer)).await
}

#[tokio::test]
async fn blobs_that_a_target_claims_to_have_and_has_not_stop_the_copy_before_their_manifest() {
    let mounts = |request: &Request| {
        (request.method == "POST" && request.path.contains("mount=")).then_some("201 Created")
    };
    let uploads = |request: &Request| match request.method.as_str() {
        "POST" => Some("202 Accepted\r\nLocation: /v2/prod/shop/blobs/uploads/1"),
        "PUT" if request.path.contains("/blobs/uploads/") => Some("201 Created"),
        _ => None,
    };
    for is_lost in [mounts as fn(&Request) -> _, uploads] {
        let scene = forgetful(is_lost).await;
        let error = scene.run().await.unwrap_err();
        assert!(
            matches!(error, CopyError::TargetIncomplete { .. }) && error.is_retryable(),
            "{error}"
        );
        let target = format!("`{}`", scene.plan.target);
        assert!(error.to_string().contains(&target), "{error}");
        let seen = scene.proxy.seen();
        let stored = seen
            .iter()
            .filter(|seen| seen.method == "PUT" && seen.path.contains("/manifests/"));
        assert_eq!((stored.count(), scene.target().await), (0, None));
    }
}

#[tokio::test]
async fn each_blob_is_looked_for_once_in_a_copy_and_no_manifest_is_read_again_for_that() {
    let scene = Scene::new(|_| Fault::None).await;
    let brought = scene.run().await.unwrap().progress.blobs_mounted;
    let looks = || {
        let seen = scene.proxy.seen();
        let looks = seen
            .iter()
            .filter(|seen| seen.method == "HEAD" && seen.path.contains("/blobs/"));
        looks.count()
    };
    assert!(brought > 0);
    assert_eq!(u64::try_from(looks()).unwrap(), brought);
    let before = scene.proxy.seen().len();
    let again = scene.run().await.unwrap();
    assert!(again.already_there);
    assert_eq!(u64::try_from(looks()).unwrap(), 2 * brought);
    let seen = scene.proxy.seen().split_off(before);
    let reads = seen
        .iter()
        .filter(|seen| seen.method == "GET" && seen.path.contains("/dev/shop/manifests/sha256:"));
    assert_eq!(
        u64::try_from(reads.count()).unwrap(),
        again.progress.manifests
    );
}

#[tokio::test]
async fn a_layer_that_is_at_neither_end_stops_the_copy_though_its_manifest_is_at_both() {
    let mut scene = Scene::new(|_| Fault::None).await;
    scene.run().await.unwrap();
    let layer = Digest::of(&scene.application.blobs[1]);
    for path in ["dev/shop", "prod/shop"] {
        assert!(delete_blob(&scene.registry.host(), path, &layer).await);
    }
    scene.plan.target_tag = "2.0".parse().unwrap();
    let error = scene.run().await.unwrap_err();
    assert!(
        matches!(&error, CopyError::SourceMissing { digest, .. } if *digest == layer),
        "{error}"
    );
    let tag = scene.plan.target_tag.clone();
    let set = scene.direct.head_manifest("prod/shop", &tag.into()).await;
    assert_eq!(set.unwrap(), None);
}

#[tokio::test]
async fn a_tag_that_a_target_claims_to_have_set_and_has_not_is_said_to_be_what_it_is() {
    let tags = |request: &Request| {
        let is_tag = request.method == "PUT" && request.path.ends_with("/prod/shop/manifests/1.0");
        is_tag.then_some("201 Created")
    };
    let mut scene = forgetful(tags).await;
    let check = async |scene: &Scene, what: &str| {
        let error = scene.run().await.unwrap_err();
        assert!(
            matches!(error, CopyError::TagNotKept { .. }) && error.is_retryable(),
            "{error}"
        );
        let set = format!("is set to {}, but the tag {what}", scene.plan.digest);
        assert!(error.to_string().contains(&set), "{error}");
    };
    check(&scene, "is not there").await;
    let found = other().push(&scene.direct, "prod/shop", Some("1.0")).await;
    scene.plan.expected = Some(found.clone());
    check(&scene, &format!("still points at {found}")).await;
}

#[tokio::test]
async fn a_tree_of_more_bytes_than_any_application_has_is_not_copied() {
    let (root, find) = app::padded_tree(40, 4_000_000);
    let source = Stub::serving(find).await;
    let mut scene = Scene::new(|_| Fault::None).await;
    let plain = || RegistryConfig {
        insecure: true,
        ..quiet()
    };
    scene.clients = clients([(source.host(), plain()), (scene.proxy.host(), plain())]);
    scene.plan.digest = root;
    scene.plan.source = format!("{}/dev/shop", source.host()).parse().unwrap();
    scene.plan.source_tag = None;
    let error = scene.run().await.unwrap_err();
    assert!(
        matches!(error, CopyError::TooLarge { .. }) && !error.is_retryable(),
        "{error}"
    );
    assert!(error.to_string().contains("64 MiB"), "{error}");
    assert_eq!(scene.proxy.writes(), 0);
    assert!(source.seen().len() < 35, "{}", source.seen().len());
}

#[tokio::test]
async fn a_large_blob_of_other_content_is_refused_with_the_digest_that_it_has() {
    let image = app::image("web", "amd64", &[2_000_000]);
    let is_large = |blob: &Vec<u8>| blob.len() > 1 << 20;
    let large = image.blobs.iter().find(|blob| is_large(blob)).unwrap();
    let (asked, other) = (Digest::of(large), vec![0; large.len()]);
    let found = Digest::of(&other);
    let root = image.digest();
    let source = Stub::serving({
        let asked = asked.clone();
        move |path| {
            if path.ends_with(&asked.to_string()) {
                return Some(other.clone());
            }
            let manifests = image.manifests.iter().map(|(_, bytes)| bytes);
            let mut all = manifests.chain(&image.blobs);
            let is_asked = |bytes: &&Vec<u8>| path.ends_with(&Digest::of(bytes).to_string());
            all.find(is_asked).cloned()
        }
    })
    .await;
    let mut scene = Scene::new(|_| Fault::None).await;
    let plain = || RegistryConfig {
        insecure: true,
        max_attempts: 1.try_into().unwrap(),
        ..quiet()
    };
    scene.clients = clients([(source.host(), plain()), (scene.proxy.host(), plain())]);
    scene.plan.digest = root;
    scene.plan.source = format!("{}/dev/shop", source.host()).parse().unwrap();
    scene.plan.source_tag = None;
    let error = scene.run().await.unwrap_err().to_string();
    for digest in [asked, found] {
        assert!(error.contains(&digest.to_string()), "no {digest}: {error}");
    }
}
