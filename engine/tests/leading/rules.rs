//! Rules that a node has on its disk, and those that others put in force.

use serde_json::Value;

use crate::{
    site::{Site, follows, leads, wait_for},
    support::proxy::Fault,
};

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_puts_no_rules_in_force_that_are_older_than_those_that_are() {
    let Some(site) = Site::new().await else {
        return;
    };
    site.write_rules_that_deny("strict");
    let way = site.way(|_| Fault::None).await;
    let mut first = site.node_with("strict", "first", &way, 3, true).await;
    leads(&first).await;
    let two = |rules: &Value| rules["rules"].as_array().is_some_and(|all| all.len() == 2);
    first.until("/v1/rules", two).await;
    // Its files were written before these rules were put in force: they were left behind.
    let second = site.node("second", &way, 3, true).await;
    follows(&second, "first").await;
    first.kill();
    leads(&second).await;
    second.says("`first` put other rules in force at").await;
    second.say(&[site.pushed()]).await;
    let denied = |page: &Value| {
        let last = page["events"].as_array().and_then(|all| all.last());
        last.is_some_and(|last| last["event"]["data"]["verdict"] == "block")
    };
    second.until("/v1/decisions", denied).await;
    assert!(!site.promoted().await);
    let rules = second.get("/v1/rules").await;
    assert!(two(&rules), "{rules}");
    let why = rules["refused"].as_str().unwrap();
    assert!(why.contains("SIGHUP"), "{why}");
    let metrics = second.client().get(format!("{}/metrics", second.url()));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nweir_rules_refused 1\n"), "{metrics}");
    // Who means them says so.
    second.signal("HUP");
    wait_for("the rules are put in force", async || site.promoted().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leads_alone_puts_back_its_own_rules_and_no_others() {
    let Some(site) = Site::new().await else {
        return;
    };
    site.write_rules_that_deny("strict");
    let way = site.way(|_| Fault::None).await;
    let rules =
        |count: usize| move |rules: &Value| rules["rules"].as_array().map(Vec::len) == Some(count);
    let first = site.node_with("strict", "first", &way, 3, true).await;
    leads(&first).await;
    first.until("/v1/rules", rules(2)).await;
    first.stop();

    // Nobody leads when it starts, and its files were left behind.
    let second = site.node("second", &way, 3, true).await;
    second.says("`first` put other rules in force at").await;
    second.until("/v1/rules", rules(2)).await;
    second.stop();

    // The same files where the strict ones were put in force: these are taken back.
    let first = site.node("first", &way, 3, true).await;
    first.until("/v1/rules", rules(1)).await;
    first.stop();
}
