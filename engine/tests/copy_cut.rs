//! F25: a copy that is cut off at any of its requests leaves the target all old or all new, and
//! running it again completes it.

mod support;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{StreamExt as _, stream};
use support::{
    app::{self, Content},
    proxy::{Fault, Proxy},
    registry::{Options, Registry, clients},
};
use weir_engine::{
    copy::{self, Plan},
    oci::{Client, RegistryConfig, fallback_tag},
};
use weir_schema::{Digest, Tag};

/// How the connection goes at the chosen request.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Before the registry sees the request.
    Before,
    /// After the registry did it, before we hear of it.
    After,
    /// In the middle of what is sent up.
    Upload,
    /// In the middle of what comes down.
    Answer,
}

impl Cut {
    fn fault(self) -> Fault {
        match self {
            Self::Before => Fault::CutBefore,
            Self::After => Fault::CutAfter,
            Self::Upload => Fault::CutUpload(100),
            Self::Answer => Fault::CutAnswer(150),
        }
    }
}

/// Where everything is, for all cuts of one way of copying.
struct Scene {
    source: Registry,
    target: Option<Registry>,
    application: Content,
    signature: (String, Content),
    old: Content,
}

impl Scene {
    async fn new(two_registries: bool) -> Self {
        let start = || {
            Registry::start_with(&Options {
                in_memory: true,
                ..Options::default()
            })
        };
        let source = start();
        let client = Client::new(&source.host(), &source.config()).unwrap();
        let application = app::application("shop", &[], &[]);
        let digest = application.push(&client, "dev/shop", Some("1.0")).await;
        let signature = (
            format!("{}.sig", fallback_tag(&digest).unwrap()),
            app::cosign_signature(&["signed"]),
        );
        signature
            .1
            .push(&client, "dev/shop", Some(&signature.0))
            .await;
        let target = two_registries.then(start);
        Self {
            source,
            target,
            application,
            signature,
            old: app::image("old", "amd64", &[]),
        }
    }

    fn target(&self) -> &Registry {
        self.target.as_ref().unwrap_or(&self.source)
    }

    /// Copies with the `number`th request cut. Returns whether there was such a request.
    async fn check(&self, cut: Cut, number: usize, attempts: u32) -> bool {
        let place = format!("{cut:?} at request {number}, {attempts} attempts");
        let path = format!(
            "prod/{}-{number}-{attempts}",
            format!("{cut:?}").to_lowercase()
        );
        let direct = Client::new(&self.target().host(), &self.target().config()).unwrap();
        let (old, new) = (
            self.old.push(&direct, &path, Some("1.0")).await,
            self.application.digest(),
        );
        // Only the first run is cut; the flag says whether it had so many requests.
        let (armed, hit) = (
            Arc::new(AtomicBool::new(true)),
            Arc::new(AtomicBool::new(false)),
        );
        let proxy = Proxy::before(self.target().address(), {
            let (armed, hit) = (Arc::clone(&armed), Arc::clone(&hit));
            move |request| {
                if request.number == number && armed.load(Ordering::SeqCst) {
                    hit.store(true, Ordering::SeqCst);
                    cut.fault()
                } else {
                    Fault::None
                }
            }
        })
        .await;
        // Within one registry, both names lead through the proxy.
        let config = |config| RegistryConfig {
            max_attempts: attempts.try_into().unwrap(),
            ..config
        };
        let source = if self.target.is_some() {
            self.source.host()
        } else {
            proxy.host()
        };
        let cut_off = clients([
            (source.clone(), config(self.source.config())),
            (proxy.host(), config(self.target().config())),
        ]);
        // As after a restart: other connections, and the patience of every day.
        let restarted = clients([
            (source.clone(), self.source.config()),
            (proxy.host(), self.target().config()),
        ]);
        let plan = Plan {
            digest: new.clone(),
            source: format!("{source}/dev/shop").parse().unwrap(),
            source_tag: Some("1.0".parse().unwrap()),
            target: format!("{}/{path}", proxy.host()).parse().unwrap(),
            target_tag: "1.0".parse().unwrap(),
            expected: Some(old.clone()),
            known_referrers: Default::default(),
        };
        let first = copy::run(&plan, &cut_off, Arc::new(|_| {})).await;
        armed.store(false, Ordering::SeqCst);
        let there = tag(&direct, &path, "1.0").await;
        match &first {
            Ok(_) => assert_eq!(there, new, "{place}"),
            Err(error) => {
                assert!(error.is_retryable(), "{place}: {error}");
                assert!(
                    there == old || there == new,
                    "{place}: the target is {there}"
                );
            }
        }
        if there == new {
            self.assert_complete(&direct, &path, &place).await;
        }
        let second = copy::run(&plan, &restarted, Arc::new(|_| {}))
            .await
            .unwrap_or_else(|e| panic!("{place}: {e}"));
        assert_eq!(second.already_there, there == new, "{place}");
        self.assert_complete(&direct, &path, &place).await;
        assert_nothing_was_stored_twice(&proxy, cut, number, &place);
        hit.load(Ordering::SeqCst)
    }

    async fn assert_complete(&self, client: &Client, path: &str, place: &str) {
        assert_eq!(
            tag(client, path, "1.0").await,
            self.application.digest(),
            "{place}"
        );
        assert_eq!(
            tag(client, path, &self.signature.0).await,
            self.signature.1.digest(),
            "{place}"
        );
        for content in [&self.application, &self.signature.1] {
            for (_, bytes) in &content.manifests {
                let there = client.get_manifest(path, &Digest::of(bytes).into()).await;
                assert_eq!(
                    there
                        .unwrap_or_else(|error| panic!("{place}: {error}"))
                        .bytes,
                    bytes,
                    "{place}"
                );
            }
            for blob in &content.blobs {
                let digest = Digest::of(blob);
                assert!(
                    client.has_blob(path, &digest).await.unwrap(),
                    "{place}: {digest} is missing"
                );
            }
        }
    }
}

/// Over both runs, only what was under way at the cut was begun again.
fn assert_nothing_was_stored_twice(proxy: &Proxy, cut: Cut, number: usize, place: &str) {
    let mut stored = BTreeSet::new();
    for request in proxy.seen() {
        let is_store = request.method == "PUT" && request.path.contains("/manifests/sha256:");
        // A manifest whose storing was cut, or given up since another request was cut, is
        // stored again; only what had been answered before the cut must not be.
        if is_store && request.number + IN_FLIGHT < number {
            assert!(
                stored.insert(request.path.clone()),
                "{place} ({cut:?}): {} was stored twice",
                request.path
            );
        } else if is_store && request.number > number {
            assert!(
                !stored.contains(&request.path),
                "{place} ({cut:?}): {} was stored twice",
                request.path
            );
        }
    }
}

/// How many requests may be under way at a time.
const IN_FLIGHT: usize = 8;

async fn tag(client: &Client, path: &str, tag: &str) -> Digest {
    let tag: Tag = tag.parse().unwrap();
    client
        .head_manifest(path, &tag.into())
        .await
        .unwrap()
        .expect("the tag never vanishes")
        .digest
}

/// Cuts every request there is, several at a time, until a copy ends before the cut.
async fn cut_everywhere(two_registries: bool, cut: Cut, attempts: u32) {
    cut_each(two_registries, cut, attempts, 1).await;
}

/// Cuts every fifth request, or all with `WEIR_CUT_EVERYWHERE` set: each cut is two whole copies.
async fn cut_here_and_there(two_registries: bool, cut: Cut, attempts: u32) {
    let all = std::env::var_os("WEIR_CUT_EVERYWHERE").is_some();
    cut_each(two_registries, cut, attempts, if all { 1 } else { 5 }).await;
}

async fn cut_each(two_registries: bool, cut: Cut, attempts: u32, step: usize) {
    let scene = Scene::new(two_registries).await;
    let last = stream::iter((1..).step_by(step))
        .map(|number| {
            let scene = &scene;
            async move { (number, scene.check(cut, number, attempts).await) }
        })
        .buffered(6)
        .take_while(|(_, hit)| std::future::ready(*hit))
        .fold(0, |_, (number, _)| std::future::ready(number))
        .await;
    assert!(last > 40, "a copy has more requests than {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_mounting_cut_before_any_request() {
    cut_everywhere(false, Cut::Before, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_mounting_cut_after_any_request() {
    cut_here_and_there(false, Cut::After, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_moving_cut_before_any_request() {
    cut_here_and_there(true, Cut::Before, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_moving_cut_after_any_request() {
    cut_everywhere(true, Cut::After, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_moving_cut_within_any_upload() {
    cut_here_and_there(true, Cut::Upload, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_mounting_cut_within_any_answer_is_survived_or_said_to_be_retryable() {
    cut_here_and_there(false, Cut::Answer, 3).await;
}
