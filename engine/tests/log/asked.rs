//! What is asked: logs, and a daemon that has one open.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_engine::node::Incoming;
use weir_schema::{Position, Received};

use crate::cli::ledger;
use crate::history::History;
use crate::mixed;

/// How long something may take on a loaded machine before the test says that it never will.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A log with something of everything.
pub fn fill(dir: &Path) {
    let mut ledger = ledger(dir);
    // In that order: among the mixed there are holds that are never released.
    let mut history = History::new(85, 6);
    ledger
        .take(history.take(300), None)
        .expect("they are taken");
    mixed::fill(&mut ledger, 20..24);
}

/// A log of these events, one a minute.
pub fn log_of(dir: &Path, events: &[(&str, Value)]) {
    let mut ledger = ledger(dir);
    let inputs = events.iter().enumerate().map(|(minute, (kind, data))| {
        let event = json!({"specversion": "1.0", "id": minute.to_string(), "source": "/test", "type": format!("weir.{kind}"), "data": data});
        let at = format!("2026-03-02T10:{minute:02}:00Z");
        Incoming {
            received: Received::from_json(event.to_string().as_bytes()).expect("an event"),
            at: at.parse().expect("a time"),
            position: Position::Local,
        }
    });
    ledger.take(inputs.collect(), None).expect("they are taken");
}

/// JSON Lines.
pub fn lines(text: &str) -> Vec<Value> {
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"));
    lines.collect()
}

/// The sequences of records.
pub fn seqs(records: &[Value]) -> Vec<u64> {
    records
        .iter()
        .filter_map(|record| record["seq"].as_u64())
        .collect()
}

/// A daemon on the data directory, ended when dropped.
pub struct Daemon(Child);

impl Daemon {
    pub fn start(dir: &Path) -> Daemon {
        // A port that is free now.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let file = dir.join("weir.toml");
        fs::write(
            &file,
            format!("data = \"weir-data\"\n[http]\nlisten = \"{address}\"\n"),
        )
        .expect("it is written");
        let child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "--config", "weir.toml"])
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("daemon.log")).expect("a file"))
            .spawn()
            .expect("it runs");
        let mut daemon = Daemon(child);
        let began = Instant::now();
        while !dir.join("weir-data/address").exists() {
            let ended = daemon.0.try_wait().expect("it is asked");
            let log = || fs::read_to_string(dir.join("daemon.log")).unwrap_or_default();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}
