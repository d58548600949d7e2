//! Copies of one image to one repository, when others write there what refers to it: all that was
//! said of the image is at the target afterwards, or who could not add to it is told.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use support::{
    app::{self, Content},
    proxy::{Fault, Proxy, Request},
    registry::{Registry, clients},
};
use weir_engine::{
    copy::{self, CopyError, Outcome, Plan},
    oci::{Client, Clients, fallback_tag},
};
use weir_schema::{Digest, Tag};

/// Longer than all that a copy does before it writes what belongs to a digest.
const SLOW: Duration = Duration::from_secs(1);

/// The image in `dev/web` and in `test/web`, each with a referrer of its own.
struct Scene {
    /// Kept: it ends when this is dropped.
    _registry: Registry,
    proxy: Proxy,
    direct: Client,
    clients: Clients,
    image: Digest,
}

impl Scene {
    /// `decide` is asked of what is put at a tag of the image's referrers in `prod/web`, and told how
    /// often something was put there before.
    async fn new(decide: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Self {
        let puts = AtomicUsize::new(0);
        Self::before(Registry::start(), move |request| {
            let is_put = request.method == "PUT" && request.path.contains(PROD_REFERRERS);
            match is_put {
                true => decide(puts.fetch_add(1, Ordering::SeqCst)),
                false => Fault::None,
            }
        })
        .await
    }

    async fn before(
        registry: Registry,
        decide: impl Fn(&Request) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let proxy = Proxy::before(registry.address(), decide).await;
        let direct = Client::new(&registry.host(), &registry.config()).unwrap();
        let image = web();
        for (path, kind) in [("dev/web", SBOM), ("test/web", SCAN)] {
            image.push(&direct, path, Some("1.0")).await;
            list(&direct, path, &[kind]).await;
        }
        Self {
            clients: clients([(proxy.host(), registry.config())]),
            _registry: registry,
            proxy,
            direct,
            image: image.digest(),
        }
    }

    async fn copy(&self, from: &str, tag: &str) -> Result<Outcome, CopyError> {
        let host = self.proxy.host();
        let plan = Plan {
            digest: self.image.clone(),
            source: format!("{host}/{from}").parse().unwrap(),
            source_tag: None,
            target: format!("{host}/prod/web").parse().unwrap(),
            target_tag: tag.parse().unwrap(),
            expected: None,
            known_referrers: Default::default(),
        };
        copy::run(&plan, &self.clients, Arc::new(|_| {})).await
    }

    async fn sign(&self, path: &str, payloads: &[&str]) {
        let tag = format!("{}.sig", fallback_tag(&self.image).unwrap());
        let signature = app::cosign_signature(payloads);
        signature.push(&self.direct, path, Some(&tag)).await;
    }

    /// The kinds of what refers to the image in `prod/web`.
    async fn listed(&self) -> Vec<String> {
        let found = self.direct.referrers("prod/web", &self.image).await;
        let listed = found.unwrap().descriptors.into_iter();
        let mut kinds: Vec<String> = listed.filter_map(|one| one.artifact_type).collect();
        kinds.sort_unstable();
        kinds
    }

    async fn has_tag(&self, tag: &str) -> bool {
        let tag: Tag = tag.parse().unwrap();
        let head = self.direct.head_manifest("prod/web", &tag.into()).await;
        head.unwrap().is_some()
    }
}

/// What the paths of the tags have in them that belong to a digest; manifests themselves have a colon.
const PROD_REFERRERS: &str = "/prod/web/manifests/sha256-";
const SBOM: &str = "application/spdx+json";
const SCAN: &str = "application/sarif+json";

fn web() -> Content {
    app::image("web", "amd64", &[])
}

/// Pushes a referrer of each kind, and the list of these, as `oras` does: without what was listed.
async fn list(client: &Client, path: &str, kinds: &[&str]) {
    let subject = web().descriptor(&json!({}));
    let mut listed = Vec::new();
    for kind in kinds {
        let referrer = app::referrer(&subject, kind, kind);
        referrer.push(client, path, None).await;
        listed.push((referrer, *kind));
    }
    let listed: Vec<_> = listed.iter().map(|(one, kind)| (one, *kind)).collect();
    let tag = fallback_tag(&web().digest()).unwrap().to_string();
    let list = app::referrer_list(&listed);
    list.push(client, path, Some(&tag)).await;
}

#[tokio::test]
async fn copies_at_once_list_what_each_of_them_brings() {
    let scene = Scene::new(|_| Fault::Slow(SLOW)).await;
    let both = tokio::join!(scene.copy("dev/web", "1.0"), scene.copy("test/web", "2.0"));
    assert!(matches!(both, (Ok(_), Ok(_))), "{both:?}");
    assert_eq!(scene.listed().await, [SCAN, SBOM]);
}

#[tokio::test]
async fn of_copies_at_once_with_signatures_that_only_people_can_merge_one_does_not_complete() {
    let scene = Scene::new(|_| Fault::Slow(SLOW)).await;
    scene.sign("dev/web", &["a"]).await;
    scene.sign("test/web", &["b"]).await;
    let both = tokio::join!(scene.copy("dev/web", "1.0"), scene.copy("test/web", "2.0"));
    let ((Ok(_), Err(error)) | (Err(error), Ok(_))) = both else {
        panic!("{both:?}");
    };
    assert!(
        matches!(error, CopyError::ReferrerConflict { .. }),
        "{error}"
    );
    let tags = [scene.has_tag("1.0").await, scene.has_tag("2.0").await];
    assert_ne!(tags[0], tags[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_somebody_else_replaces_is_added_to_once_more() {
    let registry = Registry::start();
    let others = Client::new(&registry.host(), &registry.config()).unwrap();
    let (runtime, looks) = (tokio::runtime::Handle::current(), AtomicUsize::new(0));
    let scene = Scene::before(registry, move |request| {
        let is_look = request.method == "HEAD"
            && request.path.contains(PROD_REFERRERS)
            && !request.path.contains('.');
        if is_look && looks.fetch_add(1, Ordering::SeqCst) == 0 {
            // On another thread, so that no task that waits for this one has to do it.
            let (runtime, others) = (runtime.clone(), others.clone());
            let other = move || runtime.block_on(list(&others, "prod/web", &[SCAN]));
            let other = std::thread::spawn(other);
            tokio::task::block_in_place(|| other.join().unwrap());
        }
        Fault::None
    })
    .await;
    scene.copy("dev/web", "1.0").await.unwrap();
    assert_eq!(scene.listed().await, [SCAN, SBOM]);
}

#[tokio::test]
async fn what_a_target_claims_to_have_put_at_a_tag_and_has_not_is_put_again_but_not_for_ever() {
    let forgets = |times| {
        move |before| match before < times {
            true => Fault::Answer("201 Created"),
            false => Fault::None,
        }
    };
    let scene = Scene::new(forgets(2)).await;
    scene.copy("dev/web", "1.0").await.unwrap();
    assert_eq!(scene.listed().await, [SBOM]);

    let scene = Scene::new(forgets(usize::MAX)).await;
    let error = scene.copy("dev/web", "1.0").await.unwrap_err();
    assert!(
        matches!(error, CopyError::ReferrersNotKept { .. }) && error.is_retryable(),
        "{error}"
    );
    let seen = scene.proxy.seen();
    let is_put = |seen: &&Request| seen.method == "PUT" && seen.path.contains(PROD_REFERRERS);
    assert_eq!(seen.iter().filter(is_put).count(), 3);
    assert!(!scene.has_tag("1.0").await);
}
