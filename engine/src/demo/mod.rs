//! `weir demo`: a self-contained story on the real engine, from captured events.
//!
//! Notifications of a real registry and reports of a real scanner go through the same adapters,
//! the same log and the same rules as in a daemon. Only two things are the demo's own: the report
//! of one clean image is addressed to each image of the application in turn, and promotions
//! complete at once, for there is no registry to copy in.

use std::{fs, io, path::Path};

use weir_rules::{Execution, Settings, State};
use weir_schema::{
    Body, Digest, Event, OverrideGranted, Position, Received, RuleFile, RulesActivated, Timestamp,
    media_type::{OCI_INDEX, OCI_MANIFEST},
};

use crate::{
    adapters::{self, AdapterSettings, Decoded, Delivery},
    cli::explanation,
    log::LogOptions,
    node::{Incoming, Ledger},
    oci::Manifest,
    resolve,
};

const RULES: &str = include_str!("rules.cel");
const APPLICATION: &[u8] = include_bytes!("data/push-application.jsonl");
const IMAGE: &[u8] = include_bytes!("data/push-image.jsonl");
const CLEAN: &[u8] = include_bytes!("data/image-clean.json");
const WITH_FINDINGS: &[u8] = include_bytes!("data/image-with-findings.json");

/// With their media types, as the registry gave them.
const MANIFESTS: [(&str, &[u8]); 8] = [
    (OCI_INDEX, include_bytes!("data/application/index.json")),
    (
        OCI_INDEX,
        include_bytes!("data/application/component-cache-index.json"),
    ),
    (
        OCI_MANIFEST,
        include_bytes!("data/application/config-manifest.json"),
    ),
    (
        OCI_MANIFEST,
        include_bytes!("data/application/invocation.json"),
    ),
    (
        OCI_MANIFEST,
        include_bytes!("data/application/component-web.json"),
    ),
    (
        OCI_MANIFEST,
        include_bytes!("data/application/component-db.json"),
    ),
    (
        OCI_MANIFEST,
        include_bytes!("data/application/component-cache-amd64.json"),
    ),
    (
        OCI_MANIFEST,
        include_bytes!("data/application/component-cache-arm64.json"),
    ),
];

/// The file that says that a directory is a demo's and may be made anew.
const MARK: &str = "this-is-a-demo";

/// Why the demo ended early.
pub type DemoError = Box<dyn std::error::Error>;

struct Story {
    ledger: Ledger,
}

/// Tells the story with its log in `data`, which is made anew if an earlier demo made it.
///
/// # Errors
/// If `data` is something else, or cannot be written.
pub fn run(data: &Path, output: &mut impl io::Write) -> Result<(), DemoError> {
    if data.exists() {
        if !data.join(MARK).exists() {
            return Err(format!(
                "{} exists and is no demo's: name another directory with --data",
                data.display()
            )
            .into());
        }
        fs::remove_dir_all(data)?;
    }
    let log = data.join("log");
    fs::create_dir_all(&log)?;
    fs::write(data.join(MARK), "")?;
    fs::create_dir_all(data.join("rules"))?;
    fs::write(data.join("rules/to-production.cel"), RULES)?;
    let ledger = Ledger::open(
        &log,
        LogOptions::default(),
        Settings::default(),
        Execution::AtOnce,
    )?;
    let mut story = Story { ledger };
    story.tell(&log, &data.join("rules"), output)
}

impl Story {
    fn tell(
        &mut self,
        log: &Path,
        rules: &Path,
        output: &mut impl io::Write,
    ) -> Result<(), DemoError> {
        writeln!(output, "1. One rule is in force:\n")?;
        for line in RULES.lines() {
            writeln!(output, "     {line}")?;
        }
        let files = vec![RuleFile {
            path: "to-production.cel".into(),
            text: RULES.into(),
        }];
        self.take(vec![own(
            "rules",
            Body::RulesActivated(RulesActivated {
                files,
                actor: Some("demo".into()),
            }),
        )])?;

        writeln!(
            output,
            "\n2. An application is pushed: the notifications of a real registry, 24 of them."
        )?;
        writeln!(
            output,
            "   Blobs and reads are no events; the index says what is bundled.\n"
        )?;
        self.deliver("distribution", APPLICATION)?;
        for (media_type, bytes) in MANIFESTS {
            let manifest = Manifest::parse(bytes, Some(media_type))?;
            let facts = resolve::facts(&Digest::of(bytes), manifest, None);
            let id = format!("resolved-{}", facts.digest);
            self.take(vec![own(&id, Body::ManifestResolved(facts))])?;
        }
        writeln!(output, "   $ weir why team/shop:1.0\n")?;
        self.why("team/shop", "1.0", output)?;
        let pushed = self.ledger.state().seq();

        writeln!(
            output,
            "3. Its images are scanned one by one. After all but one:\n"
        )?;
        let leaves = self.unscanned("team/shop", "1.0");
        let Some((last, first)) = leaves.split_last() else {
            return Err("the application has no images".into());
        };
        for leaf in first {
            self.scan(CLEAN, leaf)?;
        }
        self.why("team/shop", "1.0", output)?;
        writeln!(
            output,
            "   The last report comes, and the application moves, whole:\n"
        )?;
        self.scan(CLEAN, last)?;
        self.decisions("team/shop", "1.0", output)?;

        writeln!(
            output,
            "\n4. An image with a critical vulnerability is pushed and scanned:\n"
        )?;
        self.deliver("distribution", IMAGE)?;
        let image = self.unscanned("team/web", "1.0");
        let image = image.first().cloned().ok_or("the image is not there")?;
        self.scan(WITH_FINDINGS, &image)?;
        self.why("team/web", "1.0", output)?;

        writeln!(
            output,
            "5. Somebody answers for it, for a month. That alone judges it again:\n"
        )?;
        let granted = OverrideGranted {
            override_id: "VEX-1".into(),
            vulnerability: "CVE-2099-0001".into(),
            reason: "the function is never called".into(),
            actor: "alice".into(),
            scope: None,
            expires_at: Some(now().saturating_add(chrono::TimeDelta::days(30))),
            status: Some("not_affected".into()),
        };
        self.take(vec![own("override", Body::OverrideGranted(granted))])?;
        self.decisions("team/web", "1.0", output)?;

        let state = self.ledger.state();
        writeln!(
            output,
            "\nEverything is in a log of {} records, state {}.",
            state.seq(),
            state.state_digest()
        )?;
        writeln!(output, "Try next:\n")?;
        let (weir, data) = (program(), log.display());
        for (what, command) in [
            (
                "everything about one repository",
                format!("log --data {data} --repository team/web"),
            ),
            (
                "every decision, for programs",
                format!("log --data {data} --type weir.decision.made --output jsonl"),
            ),
            (
                "why, as it was before the scans",
                format!("why team/shop:1.0 --data {data} --at {pushed}"),
            ),
            (
                "the application where it is now",
                format!("show production/shop:1.0 --data {data}"),
            ),
            ("how the log is", format!("status --data {data}")),
            (
                "that nobody has changed it",
                format!("verify --data {data}"),
            ),
            (
                "the rule, checked",
                format!("rules check {}", rules.display()),
            ),
        ] {
            writeln!(output, "  # {what}\n  {weir} {command}")?;
        }
        Ok(())
    }

    fn take(&mut self, events: Vec<Received>) -> Result<(), DemoError> {
        let at = now();
        let inputs = events.into_iter().map(|received| Incoming {
            received,
            at,
            position: Position::Local,
        });
        self.ledger.take(inputs.collect(), None)?;
        Ok(())
    }

    fn deliver(&mut self, adapter: &str, body: &[u8]) -> Result<(), DemoError> {
        let mut events = Vec::new();
        for decoded in decode(adapter, body) {
            match decoded {
                Decoded::Event(event) => events.push(*event),
                Decoded::Ignored(_) | Decoded::Untold(_) => {}
                Decoded::NeedsResolving(_) | Decoded::Rejected(_) => {
                    return Err("a captured event cannot be read".into());
                }
            }
        }
        self.take(events)
    }

    /// Gives a captured report to an image.
    fn scan(&mut self, report: &[u8], leaf: &Digest) -> Result<(), DemoError> {
        for decoded in decode("trivy", report) {
            let mut event = match decoded {
                Decoded::NeedsResolving(pending) => {
                    pending.with_digest(leaf.clone(), OCI_MANIFEST).event
                }
                Decoded::Event(event) => event.event,
                Decoded::Ignored(_) | Decoded::Untold(_) | Decoded::Rejected(_) => {
                    return Err("a captured report cannot be read".into());
                }
            };
            if let Body::ScanCompleted(scan) = &mut event.body {
                scan.digest = leaf.clone();
            }
            event.id = format!("scan-of-{leaf}").into();
            self.take(vec![event.into()])?;
        }
        Ok(())
    }

    fn unscanned(&self, repository: &str, tag: &str) -> Vec<Digest> {
        let view = self.ledger.state().tag(repository, tag);
        let images = view.into_iter().flat_map(|view| view.images);
        images
            .filter(|image| image.scan != "completed")
            .filter_map(|image| image.digest.parse().ok())
            .collect()
    }

    fn why(
        &self,
        repository: &str,
        tag: &str,
        output: &mut impl io::Write,
    ) -> Result<(), DemoError> {
        for one in State::explain(self.ledger.state(), repository, tag, None) {
            for line in explanation(&serde_json::to_value(&one)?).lines() {
                writeln!(output, "     {line}")?;
            }
        }
        Ok(())
    }

    fn decisions(
        &self,
        repository: &str,
        tag: &str,
        output: &mut impl io::Write,
    ) -> Result<(), DemoError> {
        let view = self.ledger.state().tag(repository, tag);
        for verdict in view.into_iter().flat_map(|view| view.verdicts) {
            writeln!(
                output,
                "     {repository}:{tag} -> {}   rule {}   {}",
                verdict.target, verdict.rule, verdict.verdict
            )?;
        }
        Ok(())
    }
}

fn decode(adapter: &str, body: &[u8]) -> Vec<Decoded> {
    adapters::decode(&Delivery {
        adapter: Some(adapter),
        source: "demo",
        delivery_id: None,
        headers: &[],
        body,
        settings: &AdapterSettings::default(),
    })
}

fn own(id: &str, body: Body) -> Received {
    Event {
        id: format!("demo-{id}").into(),
        source: Event::OWN_SOURCE.into(),
        time: Some(now()),
        subject: None,
        body,
    }
    .into()
}

fn now() -> Timestamp {
    chrono::Utc::now().into()
}

/// How this program was called: what is printed can be copied and run.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "weir".to_owned())
}
