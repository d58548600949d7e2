//! The lease, against a real server: one node at a time has it.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;

use std::{sync::Arc, time::Duration};

use nats::Nats;
use weir_engine::stream::{Acquired, Candidate, LastRecord, Lease, Leases, Lost, Stream};

fn candidate(node: &str) -> Candidate {
    Candidate {
        node: node.to_owned(),
        run: format!("{node}-1"),
        home: format!("home of {node}"),
        executes: true,
        last: None,
    }
}

async fn acquire(leases: &Leases, who: &Candidate) -> Result<Box<Lease>, Option<String>> {
    match leases.acquire(who).await.unwrap() {
        Acquired::Held(lease) => Ok(lease),
        Acquired::By(holder) => Err(holder.map(|holder| holder.node)),
    }
}

/// A bucket in which leases last for so many seconds.
async fn leases(nats: &Nats, ttl_seconds: u64) -> Leases {
    let mut config = nats.config();
    config.lease.ttl_seconds = ttl_seconds;
    let stream = Stream::open(&config).await.unwrap();
    let last = LastRecord {
        seq: 7,
        hash: "ab".into(),
    };
    Leases::open(&stream, Arc::new(move || Some(last.clone())))
        .await
        .unwrap()
}

#[tokio::test]
async fn one_node_at_a_time_holds_the_lease() {
    let Some(nats) = Nats::start() else { return };
    let leases = leases(&nats, 60).await;
    let mut first = acquire(&leases, &candidate("first")).await.unwrap();
    let other = acquire(&leases, &candidate("second")).await;
    assert_eq!(other.err(), Some(Some("first".into())));
    first.renew().await.unwrap();
    first.renew().await.unwrap();
    assert!(first.validity().holds());
    let holder = leases.holder().await.unwrap().unwrap();
    assert_eq!(
        (holder.node.as_str(), holder.last.unwrap().seq),
        ("first", 7)
    );
    let term = first.term();
    first.release().await;
    let second = acquire(&leases, &candidate("second")).await.unwrap();
    assert!(second.term() > term);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_passes_on_after_its_holder_has_stopped() {
    let Some(nats) = Nats::start() else { return };
    let leases = leases(&nats, 3).await;
    let mut first = acquire(&leases, &candidate("first")).await.unwrap();
    let second = loop {
        // Never two at once: as long as the first may act, the second has nothing.
        let may_act = first.validity().holds();
        if let Ok(lease) = acquire(&leases, &candidate("second")).await {
            assert!(!may_act);
            break lease;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(second.validity().holds() && second.term() > first.term());
    assert!(matches!(first.renew().await, Err(Lost::Expired(_))));
}

#[tokio::test]
async fn a_lease_ends_when_the_server_is_gone() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let leases = leases(&nats, 3).await;
    let mut lease = acquire(&leases, &candidate("first")).await.unwrap();
    nats.kill();
    let lost = tokio::time::timeout(Duration::from_secs(30), lease.lost())
        .await
        .unwrap();
    assert!(matches!(lost, Lost::Expired(_)), "{lost}");
    assert!(!lease.validity().holds());
}

#[tokio::test]
async fn a_node_that_starts_again_need_not_wait_for_itself() {
    let Some(nats) = Nats::start() else { return };
    let leases = leases(&nats, 60).await;
    let before = acquire(&leases, &candidate("node")).await.unwrap();
    // As after a crash: nothing was released. The same home cannot be in use by another process.
    let again = Candidate {
        run: "node-2".into(),
        ..candidate("node")
    };
    let after = acquire(&leases, &again).await.unwrap();
    assert!(after.term() > before.term());
}

#[tokio::test]
async fn a_node_that_copies_nothing_gives_way_to_one_that_does() {
    let Some(nats) = Nats::start() else { return };
    let leases = leases(&nats, 60).await;
    let stands_in = Candidate {
        executes: false,
        ..candidate("replica")
    };
    let mut replica = acquire(&leases, &stands_in).await.unwrap();
    let node = acquire(&leases, &candidate("node")).await.unwrap();
    assert!(node.term() > replica.term());
    assert_eq!(replica.renew().await, Err(Lost::Taken));
    assert!(!replica.validity().holds());
    let not_back = acquire(&leases, &stands_in).await;
    assert_eq!(not_back.err(), Some(Some("node".into())));
}
