//! SQLite beside us: Python's own, in a process of its own that measures itself.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use weir_engine::log::LogReader;
use weir_engine::log::index::{Dimension, terms};

/// The same records in SQLite.
pub struct Sqlite {
    process: Child,
    questions: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Its version, and the size of its file.
    pub version: String,
    pub bytes: u64,
}

impl Sqlite {
    /// Starts it; loads the records the first time. `None` where there is no Python.
    pub fn start(file: &Path, reader: &LogReader) -> Option<Sqlite> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support/sqlite.py");
        let process = Command::new("python3")
            .arg(script)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = process.ok()?;
        let questions = BufWriter::with_capacity(1 << 20, process.stdin.take()?);
        let answers = BufReader::new(process.stdout.take()?);
        let mut sqlite = Sqlite {
            process,
            questions,
            answers,
            version: String::new(),
            bytes: 0,
        };
        let mut first = sqlite.line()?;
        if first == "load" {
            println!("loading SQLite, once ...");
            sqlite.load(reader);
            first = sqlite.line()?;
        }
        let mut words = first.strip_prefix("ready ")?.split(' ');
        sqlite.version = words.next()?.to_owned();
        sqlite.bytes = words.next()?.parse().ok()?;
        Some(sqlite)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .ok()
            .filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    }

    fn load(&mut self, reader: &LogReader) {
        let out = &mut self.questions;
        for row in reader.range(1, None) {
            let (seq, bytes) = row.expect("it reads");
            let text = std::str::from_utf8(&bytes).expect("it is text");
            let mut kind = String::new();
            let mut mentioned = Vec::new();
            terms(&bytes, |dimension, term| {
                let table = match dimension {
                    Dimension::Type => return kind.push_str(term),
                    // What is about a repository is so by its scope too.
                    Dimension::Repository | Dimension::Scope | Dimension::Pattern => "repository",
                    Dimension::Tag => "tag",
                    Dimension::Digest => "digest",
                    Dimension::Actor => "actor",
                    Dimension::Rule => "rule",
                    Dimension::Vulnerability => "vulnerability",
                    Dimension::Verdict => "verdict",
                    Dimension::Reason => "reason",
                    Dimension::Override | Dimension::Hold => return,
                };
                mentioned.push((table, term.to_owned()));
            });
            let (_, rest) = text.rsplit_once("\"recorded_at\":\"").expect("a time");
            let (at, _) = rest.split_once('"').expect("a time");
            writeln!(out, "record {seq}\t{at}\t{kind}\t{text}").expect("it is written");
            for (table, term) in mentioned {
                writeln!(out, "term {table}\t{term}\t{seq}").expect("it is written");
            }
        }
        writeln!(out, "done").expect("it is written");
        out.flush().expect("it is written");
    }

    /// Asks; gives the time it took to execute and fetch, and the numbers in the first column.
    pub fn ask(&mut self, sql: &str, args: &[Value]) -> (Duration, Vec<u64>) {
        let question = json!({"sql": sql, "args": args});
        writeln!(self.questions, "{question}").expect("it is written");
        self.questions.flush().expect("it is written");
        let line = self.line().expect("it answers");
        let (nanos, rows): (u64, Vec<Value>) = serde_json::from_str(&line).expect("an answer");
        let rows = rows.iter().map(|row| row.as_u64().unwrap_or(0));
        (Duration::from_nanos(nanos), rows.collect())
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}
