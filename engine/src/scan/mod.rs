//! The scan worker: takes requested scans from the stream's work queue, runs a scanner on each leaf
//! by its digest, and sends back what it reported.
//!
//! ```text
//! weir.scan.requested ──> command ──> report ──> judged by the adapters ──┬─> the report, raw
//!                                                                         └─> weir.scan.failed
//! ```
//!
//! A report is read as the daemon will read it: what it would not take as a scan of the very image
//! that was asked for is a scan that failed, with the reason. So is what names another image than the
//! scanner was given, which the daemon would take: a wrapper may mix up the files of two scans, or leave
//! the digest out of what it scans.
//!
//! The report judges, not the exit code: scanners use code 1 both for "found something" and for
//! "could not look", and exit with 0 where they recognised nothing.

mod command;

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};
use weir_schema::{
    Body, Digest, Event, Received, ScanCompleted, ScanFailed, ScanRequested, ScanStarted, Scanner,
};

use crate::{
    adapters::{self, ASKED_HEADER, AdapterSettings, Decoded, SUBJECT_HEADER, mark_source_only},
    aside,
    stream::{PublishError, Publisher, Stream, Work, WorkError, WorkQueue},
};

pub use command::{Command, CommandError, Ended};

/// The name that all workers share: each request goes to one of them.
const QUEUE: &str = "weir-scan-workers";

/// The type of the events that ask for scans.
const REQUESTED: &str = "weir.scan.requested";

/// What a report may weigh; the largest that are public have 4 MB.
const LARGEST_REPORT: usize = 256 << 20;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The scanner's command line.
    pub command: Command,
    /// The scanner's name, where it does not get to say it itself.
    pub scanner: String,
    /// The adapter that reads its reports; found by their content if not given.
    pub adapter: Option<String>,
    /// The source that reports are sent as.
    pub source: String,
    /// How the daemon reads that source.
    pub settings: AdapterSettings,
    /// How long one scan may take.
    pub timeout: Duration,
    /// How many scans run at a time.
    pub concurrent: usize,
    /// End after this many scans; for tests and jobs.
    pub at_most: Option<usize>,
}

/// How often a scan is begun: what ends its worker each time shall not end all workers for ever.
const MOST_BEGUN: u64 = 10;

/// After what time a request is handed out again whose worker could not run its scanner.
const PAUSE: Duration = Duration::from_secs(10);

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There is no queue.
    #[error(transparent)]
    Queue(#[from] WorkError),
    /// The scanner cannot be started, which says nothing of what it was to look at.
    #[error("{0}: the request is left to other workers")]
    Scanner(CommandError),
}

/// Why one scan has no outcome.
#[derive(Debug, thiserror::Error)]
enum ScanError {
    /// What is to be said of it was not sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The scanner was not started.
    #[error(transparent)]
    Start(#[from] CommandError),
    /// The worker is told to end.
    #[error("told to end")]
    Stopped,
}

/// Becomes true when the worker is to end.
type Stop = watch::Receiver<bool>;

async fn stopped(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left to say so.
        std::future::pending().await
    }
}

/// How long a scan is left to a worker that says nothing of it; then another worker gets it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a worker says that it is still at a scan, however long that takes: some of it may be lost
/// before its patience is over.
const WORD_EVERY: Duration = Duration::from_secs(PATIENCE.as_secs() / 4);

/// Works until `stop` says to end, or it has done `at_most` scans. A scan that is under way then is given
/// back, for another worker to do.
///
/// # Errors
/// If the queue cannot be opened, or the scanner cannot be started.
pub async fn work(
    stream: &Stream,
    config: WorkerConfig,
    mut stop: Stop,
) -> Result<(), WorkerError> {
    let queue = WorkQueue::open(stream, QUEUE, REQUESTED, PATIENCE).await?;
    let publisher = Publisher::new(stream);
    let most = config.concurrent.max(1);
    let mut running = JoinSet::new();
    let mut taken = 0;
    let mut result = Ok(());
    while result.is_ok() && !*stop.borrow() && config.at_most.is_none_or(|most| taken < most) {
        let ended = match running.len() < most {
            true => running.try_join_next(),
            false => running.join_next().await,
        };
        if let Some(ended) = ended {
            result = ended.unwrap_or_else(broke_off);
            continue;
        }
        let next = tokio::select! {
            next = queue.next() => next,
            () = stopped(&mut stop) => break,
        };
        let work = match next {
            Ok(Some(work)) => work,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(%error, "asking for work again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        taken += 1;
        let (publisher, config, stop) = (publisher.clone(), config.clone(), stop.clone());
        running.spawn(async move { carry_out(&publisher, &config, work, stop).await });
    }
    // Whatever ends the worker, what it is at is finished or given back.
    while let Some(ended) = running.join_next().await {
        result = result.and(ended.unwrap_or_else(broke_off));
    }
    result
}

/// A scan that panicked is no reason to end: its request comes again, to this worker or another.
fn broke_off(error: JoinError) -> Result<(), WorkerError> {
    tracing::error!(%error, "a scan broke off, which is a fault of Weir: its request comes again");
    Ok(())
}

/// Does one piece of work and says that it is done, once what came of it is in the stream.
///
/// # Errors
/// If the scanner cannot be started: the work is given back.
async fn carry_out(
    publisher: &Publisher,
    config: &WorkerConfig,
    work: Work,
    mut stop: Stop,
) -> Result<(), WorkerError> {
    let (id, request) = match requested(work.payload()) {
        Ok(requested) => requested,
        Err(problem) => {
            tracing::error!(problem, "not a request for a scan");
            let _told = work.finished().await;
            return Ok(());
        }
    };
    let begun_before = work.handed_out().saturating_sub(1);
    let scan = async {
        match begun_before {
            0..MOST_BEGUN => scan(publisher, config, &request, &mut stop).await,
            _ => give_up(publisher, config, &id, &request).await,
        }
    };
    tokio::pin!(scan);
    let told = loop {
        tokio::select! {
            told = &mut scan => break told,
            () = tokio::time::sleep(WORD_EVERY) => {
                if let Err(error) = work.goes_on().await {
                    tracing::warn!(%error, "another worker may get the same scan");
                }
            }
        }
    };
    match told {
        Ok(()) => {
            if let Err(error) = work.finished().await {
                tracing::warn!(%error, "the scan will be done once more");
            }
        }
        // Not finished: it comes again, to this worker or another.
        Err(ScanError::Publish(error)) => {
            tracing::error!(%error, leaf = %request.digest, "what the scanner said was not sent");
        }
        Err(ScanError::Stopped) => {
            tracing::info!(leaf = %request.digest, "given back");
            if let Err(error) = work.given_back(Duration::ZERO).await {
                tracing::warn!(%error, "it comes again a little later");
            }
        }
        Err(ScanError::Start(error)) => {
            if let Err(error) = work.given_back(PAUSE).await {
                tracing::warn!(%error, "it comes again a little later");
            }
            return Err(WorkerError::Scanner(error));
        }
    }
    Ok(())
}

/// The request, and the id of its event.
fn requested(payload: &[u8]) -> Result<(String, ScanRequested), String> {
    let received = Received::from_json(payload).map_err(|error| error.to_string())?;
    match received.event.body {
        Body::ScanRequested(request) => Ok((received.event.id.to_string(), request)),
        other => Err(format!("it is `{}`", other.kind())),
    }
}

async fn scan(
    publisher: &Publisher,
    config: &WorkerConfig,
    request: &ScanRequested,
    stop: &mut Stop,
) -> Result<(), ScanError> {
    let scanning = config.command.start(&request.reference)?;
    let words = Words::of(config);
    let scanner = words.scanner.clone();
    let started = Body::ScanStarted(ScanStarted {
        digest: request.digest.clone(),
        scanner: scanner.clone(),
    });
    words.say(publisher, "started", started).await?;
    tracing::info!(reference = request.reference, "scanning");
    // Once it has ended, what it says is said.
    let ended = tokio::select! {
        biased;
        ended = scanning.ended(config.timeout, LARGEST_REPORT) => ended,
        () = stopped(stop) => return Err(ScanError::Stopped),
    };
    let reason = match ended {
        Ok(ended) => match judge_aside(config, &request.digest, ended).await {
            Ok(report) => match send(publisher, config, &request.digest, report).await {
                // Nor would what another scan of the same image finds.
                Err(error) if !error.may_pass() => {
                    format!("what the report says cannot be sent: {error}")
                }
                sent => return Ok(sent?),
            },
            Err(reason) => reason,
        },
        Err(error) => error.to_string(),
    };
    tracing::error!(reference = request.reference, reason, "not scanned");
    Ok(words.failed(publisher, request, reason).await?)
}

/// Says that a scan has failed which never came to its end; once, however often that is said of the
/// request `id`.
async fn give_up(
    publisher: &Publisher,
    config: &WorkerConfig,
    id: &str,
    request: &ScanRequested,
) -> Result<(), ScanError> {
    let reason = format!(
        "it was begun {MOST_BEGUN} times and never came to its end: each time its worker was ended, could not run the scanner, or could not say what came of it; the workers' logs tell which"
    );
    tracing::error!(reference = request.reference, reason, "not scanned");
    let words = Words {
        run: format!("given-up-{id}"),
        ..Words::of(config)
    };
    Ok(words.failed(publisher, request, reason).await?)
}

/// What a worker says of one scan.
struct Words {
    /// What the ids of its events begin with.
    run: String,
    source: String,
    scanner: Scanner,
}

impl Words {
    fn of(config: &WorkerConfig) -> Self {
        Self {
            run: uuid::Uuid::new_v4().to_string(),
            source: format!("/scanners/{}", config.source),
            scanner: Scanner {
                name: config.scanner.clone().into(),
                version: None,
                db_updated_at: None,
            },
        }
    }

    async fn say(&self, publisher: &Publisher, what: &str, body: Body) -> Result<(), PublishError> {
        let event = Event {
            id: format!("{}-{what}", self.run).into(),
            source: self.source.as_str().into(),
            time: Some(chrono::Utc::now().into()),
            subject: None,
            body,
        };
        publisher.publish_event(&event.into()).await.map(|_| ())
    }

    async fn failed(
        &self,
        publisher: &Publisher,
        request: &ScanRequested,
        reason: String,
    ) -> Result<(), PublishError> {
        let failed = Body::ScanFailed(ScanFailed {
            digest: request.digest.clone(),
            scanner: self.scanner.clone(),
            reason,
        });
        self.say(publisher, "failed", failed).await
    }
}

/// A report that completes a scan.
struct Report {
    raw: Bytes,
    /// What it means.
    events: Vec<Received>,
}

/// As [`judge`], without keeping the worker from saying that it is still at work.
async fn judge_aside(config: &WorkerConfig, leaf: &Digest, ended: Ended) -> Result<Report, String> {
    let (config, leaf) = (config.clone(), leaf.clone());
    let judged = aside::read(ended.output.len(), move || judge(&config, &leaf, ended));
    let panicked = |error| Err(format!("its report cannot be read: {error}"));
    judged.await.unwrap_or_else(panicked)
}

/// The report that a command wrote, or why there is none that the daemon would take.
fn judge(config: &WorkerConfig, leaf: &Digest, ended: Ended) -> Result<Report, String> {
    let mut headers = subject(leaf);
    headers.push((ASKED_HEADER.to_owned(), "1".to_owned()));
    // As the stream's subject will say of it.
    mark_source_only(&mut headers);
    let decoded = adapters::decode(&adapters::Delivery {
        adapter: config.adapter.as_deref(),
        source: &config.source,
        delivery_id: None,
        headers: &headers,
        body: &ended.output,
        settings: &config.settings,
    });
    match outcome(leaf, decoded) {
        Ok(events) => Ok(Report {
            raw: ended.output.into(),
            events,
        }),
        Err(why) => Err(format!(
            "{}: {why}{}",
            ended.how,
            match ended.complaint.as_str() {
                "" => String::new(),
                complaint => format!("; it says: {complaint}"),
            }
        )),
    }
}

/// What a report means, if that is a completed scan of `leaf` and all of it can be read; else why it
/// is not.
fn outcome(leaf: &Digest, decoded: Vec<Decoded>) -> Result<Vec<Received>, String> {
    let (mut events, mut is_complete) = (Vec::new(), false);
    let (mut failed, mut other, mut nothing) = (None, None, None);
    for one in decoded {
        match one {
            Decoded::Event(event) => {
                match &event.event.body {
                    Body::ScanCompleted(scan) if is_of(leaf, scan) => is_complete = true,
                    Body::ScanCompleted(scan) => {
                        other.get_or_insert_with(|| scan.digest.clone());
                    }
                    Body::ScanFailed(scan) => {
                        failed.get_or_insert_with(|| scan.reason.clone());
                    }
                    _ => {}
                }
                events.push(*event);
            }
            Decoded::Rejected(rejected) => return Err(rejected.reason),
            Decoded::NeedsResolving(pending) => {
                nothing = nothing.or(Some(pending.rejected("nobody is asked").reason));
            }
            Decoded::Ignored(reason) | Decoded::Untold(reason) => {
                nothing = nothing.or(Some(reason));
            }
        }
    }
    if is_complete {
        return Ok(events);
    }
    let other =
        other.map(|other| format!("it reports a scan of {other}, and {leaf} was asked for"));
    let why = failed.or(other).or(nothing);
    Err(why.unwrap_or_else(|| "it wrote no report".to_owned()))
}

/// Whether it is a scan of `leaf`: of itself, or of an index with it.
fn is_of(leaf: &Digest, scan: &ScanCompleted) -> bool {
    scan.digest == *leaf || scan.covers.iter().flatten().any(|covered| covered == leaf)
}

fn subject(leaf: &Digest) -> Vec<(String, String)> {
    vec![(SUBJECT_HEADER.to_owned(), leaf.to_string())]
}

/// Sends the report as it is; where it is too large for the stream, the event that it means, which
/// names the report by its digest.
async fn send(
    publisher: &Publisher,
    config: &WorkerConfig,
    leaf: &Digest,
    report: Report,
) -> Result<(), PublishError> {
    let adapter = config.adapter.as_deref().unwrap_or("auto");
    let sent = publisher
        .publish_intake(adapter, &config.source, &subject(leaf), report.raw)
        .await;
    let Err(PublishError::TooLarge { size, limit }) = sent else {
        return sent.map(|_| ());
    };
    tracing::info!(
        size,
        limit = limit.bytes,
        "the report is too large for the stream: its findings are sent"
    );
    for event in &report.events {
        publisher.publish_event(event).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// How a worker judges what a scanner wrote about `leaf`.
    fn judged(settings: AdapterSettings, output: &Value) -> Result<Vec<String>, String> {
        let config = WorkerConfig {
            command: "scan {reference}".parse().unwrap(),
            scanner: "osv".into(),
            adapter: None,
            source: "scan-worker".into(),
            settings,
            timeout: Duration::from_secs(1),
            concurrent: 1,
            at_most: None,
        };
        let ended = Ended {
            output: output.to_string().into_bytes(),
            complaint: String::new(),
            how: "exit code 0".into(),
        };
        let report = judge(&config, &leaf(), ended)?;
        let kinds = report.events.iter().map(|event| event.event.body.kind());
        Ok(kinds.map(str::to_owned).collect())
    }

    fn leaf() -> Digest {
        Digest::of(b"a leaf")
    }

    fn told(output: &Value) -> String {
        judged(AdapterSettings::default(), output).unwrap_err()
    }

    /// A vulnerability that is waived by a report of CycloneDX.
    fn waived() -> Value {
        json!({"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1,
            "metadata": {"tools": [{"name": "osv-scanner"}]},
            "components": [{"type": "library", "name": "a", "bom-ref": "a", "purl": "pkg:npm/a@1"}],
            "vulnerabilities": [{"id": "CVE-2", "ratings": [{"severity": "low"}], "affects": [{"ref": "a"}]},
                {"id": "CVE-1", "ratings": [{"severity": "high"}], "affects": [{"ref": "a"}], "analysis": {"state": "not_affected", "justification": "code_not_reachable"}}]})
    }

    fn scanned(digest: &Digest) -> Value {
        json!({"specversion": "1.0", "id": "1", "source": "s", "type": "weir.scan.completed",
            "data": {"digest": digest, "scanner": {"name": "osv"}, "findings": []}})
    }

    #[test]
    fn a_report_that_grades_nothing_is_a_failed_scan_and_says_so() {
        let report = json!({"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1, "components": [{"type": "library", "name": "a"}],
            "metadata": {"tools": [{"name": "osv-scanner"}]}, "vulnerabilities": [{"id": "CVE-1"}]});
        let told = told(&report);
        let start = "exit code 0: none of the vulnerabilities that it found has a severity";
        assert!(told.starts_with(start), "{told}");
    }

    #[test]
    fn a_report_of_which_the_daemon_refuses_a_part_is_a_failed_scan() {
        let told = told(&waived());
        assert!(told.contains("a waiver"), "{told}");
    }

    #[test]
    fn a_report_is_read_with_the_settings_of_its_source() {
        let vex = AdapterSettings {
            vex: true,
            ..AdapterSettings::default()
        };
        let mut kinds = judged(vex, &waived()).unwrap();
        kinds.sort();
        assert_eq!(kinds, ["weir.override.granted", "weir.scan.completed"]);
    }

    #[test]
    fn a_scan_of_another_image_is_not_the_one_that_was_asked_for() {
        let other = Digest::of(b"another");
        let told = told(&scanned(&other));
        let expected = format!("it reports a scan of {other}, and {} was", leaf());
        assert!(told.contains(&expected), "{told}");
        let mut index = scanned(&other);
        index["data"]["covers"] = json!([leaf()]);
        for report in [scanned(&leaf()), index] {
            let kinds = judged(AdapterSettings::default(), &report);
            assert_eq!(kinds.unwrap(), ["weir.scan.completed"]);
        }
    }

    #[test]
    fn a_report_that_repeats_the_reference_of_another_image_is_not_of_the_one_that_was_asked_for() {
        let other = Digest::of(b"another");
        let reports: [fn(&str) -> Value; 6] = [
            |given| {
                json!({"SchemaVersion": 2, "ArtifactName": given, "ArtifactType": "container_image", "Metadata": {"OS": {"Family": "debian", "Name": "12"}},
                    "Results": [{"Target": "debian", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [
                        {"VulnerabilityID": "CVE-2099-0001", "PkgName": "zlib", "InstalledVersion": "1", "Severity": "LOW"}]}]})
            },
            |given| {
                json!({"matches": [{"vulnerability": {"id": "CVE-2099-0001", "severity": "Low"}, "artifact": {"name": "zlib", "version": "1", "type": "deb"}}],
                    "source": {"type": "image", "target": {"userInput": given, "layers": []}},
                    "distro": {"name": "debian", "version": "12"}, "descriptor": {"name": "grype", "version": "0.80.0"}})
            },
            |given| {
                json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
                    "metadata": {"tools": [{"name": "grype"}], "component": {"type": "container", "name": given}},
                    "components": [{"type": "library", "name": "a", "bom-ref": "a", "purl": "pkg:npm/a@1"}],
                    "vulnerabilities": [{"id": "CVE-2099-0001", "ratings": [{"severity": "low"}], "affects": [{"ref": "a"}]}]})
            },
            |given| sarif("Trivy", &json!({"imageName": given}), "Package: zlib"),
            |given| {
                let message = format!(
                    "A low vulnerability in deb package: zlib, version 1 was found in image {given} at: /lib"
                );
                sarif("Grype", &json!({}), &message)
            },
            |given| {
                let digest = given.split_once('@').map(|(_, digest)| digest);
                json!({"generated_at": "2026-01-01T00:00:00Z", "artifact": {"repository": "web", "digest": digest},
                    "scanner": {"name": "Trivy", "vendor": "Aqua", "version": "1"}, "severity": "Low",
                    "vulnerabilities": [{"id": "CVE-2099-0001", "package": "zlib", "version": "1", "severity": "Low"}]})
            },
        ];
        for report in reports {
            let told = told(&report(&format!("reg.example/web@{other}")));
            let expected = format!("it reports a scan of {other}, and {} was", leaf());
            assert!(told.contains(&expected), "{told}");
            // Its digest is the same in each registry; what names none is taken at the worker's word.
            for given in [&*format!("mirror.example/web@{}", leaf()), "web.tar", "web"] {
                let kinds = judged(AdapterSettings::default(), &report(given));
                assert_eq!(kinds.unwrap(), ["weir.scan.completed"], "{given}");
            }
        }
    }

    #[test]
    fn a_report_that_names_its_image_by_another_digest_is_not_of_the_one_that_was_asked_for() {
        let trivy = |named: &str| {
            json!({"SchemaVersion": 2, "ArtifactName": "web:latest", "ArtifactType": "container_image",
                "Metadata": {"OS": {"Family": "debian", "Name": "12"}, "RepoTags": ["web:latest"], "RepoDigests": [named]},
                "Results": [{"Target": "debian", "Class": "os-pkgs", "Type": "debian"}]})
        };
        let grype_of = |given: &str, named: &[&str]| {
            let target = json!({"userInput": given, "manifestDigest": Digest::of(b"made up"), "repoDigests": named, "layers": []});
            json!({"matches": [], "source": {"type": "image", "target": target},
                "distro": {"name": "debian", "version": "12"}, "descriptor": {"name": "grype", "version": "0.80.0"}})
        };
        let grype = |named: &str| grype_of("web:latest", &[named]);
        let other = Digest::of(b"another");
        for report in [&trivy as &dyn Fn(&str) -> Value, &grype] {
            let told = told(&report(&format!("reg.example/web@{other}")));
            let expected = format!("it reports a scan of {other}, and {} was", leaf());
            assert!(told.contains(&expected), "{told}");
            let kinds = judged(
                AdapterSettings::default(),
                &report(&format!("web@{}", leaf())),
            );
            assert_eq!(kinds.unwrap(), ["weir.scan.completed"]);
        }
        // Of an image in a file it makes up the manifest.
        let kinds = judged(AdapterSettings::default(), &grype_of("web.tar", &[]));
        assert_eq!(kinds.unwrap(), ["weir.scan.completed"]);
    }

    fn sarif(tool: &str, properties: &Value, message: &str) -> Value {
        json!({"version": "2.1.0", "runs": [{"properties": properties,
            "tool": {"driver": {"name": tool, "rules": [{"id": "CVE-2099-0001", "properties": {"security-severity": "3.0", "tags": ["vulnerability", "security", "LOW"]}}]}},
            "results": [{"ruleId": "CVE-2099-0001", "level": "note", "message": {"text": message}}]}]})
    }
}
