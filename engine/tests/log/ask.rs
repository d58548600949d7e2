//! Who is asked: a daemon that has the log open, else the log itself.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;
use tempfile::TempDir;

use crate::asked::{Daemon, PATIENCE, fill, lines};
use crate::cli::said;
/// As a killed daemon leaves it, or a copy of the directory has it: somebody else may listen there.
#[test]
fn only_a_daemon_that_has_the_log_open_is_asked() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let (count, _) = said(dir, &["log", "--count"], 0);
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}\n", stranger.local_addr().expect("an address"));
    fs::write(dir.join("weir-data/address"), address).expect("it is written");
    std::thread::spawn(move || {
        for stream in stranger.incoming().flatten() {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            // Whoever asks must not wait for what comes after its request.
            let _ = std::io::Write::write_all(&mut &stream, answer);
        }
    });
    assert_eq!(said(dir, &["log", "--count"], 0).0, count);
    let (_, talk) = said(dir, &["hold", "h", "--reason", "r", "--actor", "a"], 3);
    assert!(talk.contains("no daemon runs on"), "{talk}");
}

#[test]
fn a_directory_on_the_command_line_goes_before_a_server_of_the_environment() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let count = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["log", "--count"])
            .args(arguments)
            .current_dir(dir)
            .env_clear()
            .env("WEIR_SERVER", "http://127.0.0.1:1")
            .output();
        output.expect("it runs").status.code()
    };
    assert_eq!(count(&["--data", "weir-data"]), Some(0));
    assert_eq!(count(&[]), Some(3), "nobody answers there");
    // What reads a log itself asks nobody, and does not look at another log than was meant.
    let (_, told) = said(dir, &["verify", "--server", "http://127.0.0.1:1"], 2);
    assert!(told.contains("unexpected argument '--server'"), "{told}");
}

#[test]
fn a_running_daemon_answers_the_same_and_is_followed() {
    let dir = TempDir::new().expect("a directory");
    let dir = dir.path();
    fill(dir);
    let questions: &[&[&str]] = &[
        &["log", "--output", "jsonl"],
        &[
            "log",
            "--repository",
            "dev/*",
            "--type",
            "decision.made",
            "--output",
            "csv",
        ],
        &["log", "--actor", "ci", "--limit", "5"],
        &["log", "--count", "--verdict", "block", "--verdict", "wait"],
        &["log", "--by", "reason", "--output", "json"],
        &["log", "--where", "seq % 10 == 0", "--output", "jsonl"],
        &["overrides", "--output", "json"],
        &["impact", "CVE-2", "--output", "json"],
        &["list", "--output", "json"],
        &["list", "--at", "300", "--output", "json"],
    ];
    let stopped: Vec<String> = questions
        .iter()
        .map(|question| said(dir, question, 0).0)
        .collect();
    let (pushed, _) = said(
        dir,
        &["log", "--type", "image.pushed", "--output", "jsonl"],
        0,
    );
    let pushed = lines(&pushed);
    let data = &pushed.last().expect("a push")["event"]["data"];
    let tag = format!(
        "{}:{}",
        data["repository"].as_str().unwrap_or(""),
        data["tag"].as_str().unwrap_or("x")
    );
    let life = ["history", &tag, "--output", "json"];
    let (stopped_life, _) = said(dir, &life, 0);

    let _daemon = Daemon::start(dir);
    for (question, stopped) in questions.iter().zip(&stopped) {
        let (running, _) = said(dir, question, 0);
        assert_eq!(running, *stopped, "{question:?}");
    }
    assert_eq!(said(dir, &life, 0).0, stopped_life);
    let (_, told) = said(dir, &["log", "--where", "("], 2);
    assert!(told.contains("where:1:"), "{told}");

    // A time that has passed is the end of following; what was before it is printed.
    let ended = ["log", "--follow", "--until", "1d", "--output", "jsonl"];
    let (followed, _) = said(dir, &ended, 0);
    let there = ["log", "--until", "1d", "--output", "jsonl"];
    assert_eq!(followed, said(dir, &there, 0).0);

    let mut follower = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args([
            "log", "--follow", "--limit", "1", "--type", "hold.*", "--output", "jsonl",
        ])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let out = follower.stdout.take().expect("its output");
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    // The last there was, and then what comes.
    let next = || -> Value {
        let line = received.recv_timeout(PATIENCE).expect("a record");
        serde_json::from_str(&line).expect("JSON")
    };
    let (holds, _) = said(dir, &["log", "--type", "hold.*", "--output", "jsonl"], 0);
    assert_eq!(next(), *lines(&holds).last().expect("there was a hold"));
    for id in ["one", "two"] {
        said(dir, &["hold", id, "--reason", "freeze", "--actor", "me"], 0);
        said(
            dir,
            &[
                "override",
                "grant",
                id,
                "CVE-9",
                "--reason",
                "none",
                "--actor",
                "me",
                "--confirm",
            ],
            0,
        );
    }
    assert_eq!(next()["event"]["data"]["hold_id"], "one");
    assert_eq!(next()["event"]["data"]["hold_id"], "two");
    // It may have ended already.
    let _ended = follower.kill();
    let _ended = follower.wait();
    let (table, _) = said(dir, &["log", "--override", "two"], 0);
    assert!(
        table.contains("override.granted") && table.lines().count() == 1,
        "{table}"
    );
}
