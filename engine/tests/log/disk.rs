//! The log on a disk that is full or read-only: whole afterwards, and the error says what to do.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::damage::{PATIENCE, ended, get, weir};
use crate::images::{Mounted, make_image, skipped};
use crate::records::{Records, check_readable, check_whole};
use tempfile::TempDir;
use weir_engine::log::{AppendError, Log, LogOptions, OpenError, ReadError};

#[test]
fn a_full_disk_stops_the_log_and_loses_nothing_acknowledged() {
    let dir = TempDir::new().expect("a directory");
    let image = dir.path().join("image");
    let mounted = match make_image(&image, 64).and_then(|()| Mounted::new(&image, dir.path(), "rw"))
    {
        Ok(mounted) => mounted,
        Err(why) => return skipped("full disks", &why),
    };
    let path = mounted.path().join("log");
    let ballast = mounted.path().join("ballast");
    fs::write(&ballast, vec![1; 24 << 20]).expect("it is written");
    let mut log = Log::open(&path, LogOptions::default()).expect("the log opens");
    let mut records = Records::new(30);
    let mut acknowledged = 1;
    let error = loop {
        let mut batch = records.take(20);
        batch.push(records.large(300_000));
        match log.append(&batch, None) {
            Ok(()) => acknowledged = log.head().next_seq,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000, "64 MiB hold no 10,000 such records");
    };
    assert!(matches!(error, AppendError::NoSpace { .. }), "{error}");
    assert!(error.to_string().contains("free some space"), "{error}");
    let head = log.head();
    let again = log
        .append(&Records::after(31, &log).take(1), None)
        .expect_err("it takes no more");
    assert!(matches!(again, AppendError::NoSpace { .. }), "{again}");
    assert_eq!(log.head(), head);
    match check_readable(&log.reader()) {
        Ok(records) => assert!(
            records.len() as u64 + 1 >= acknowledged,
            "what is durable still reads"
        ),
        // sled cannot read again what it could not write; the journal has it, for the next opening.
        Err(ReadError::Store { cause }) => assert!(cause.contains("No space left"), "{cause}"),
        Err(error) => panic!("{error}"),
    }
    drop(log);

    // Still full: opening may need no space, or says that it does.
    match Log::open(&path, LogOptions::default()) {
        Ok(log) => assert!(log.head().next_seq >= acknowledged),
        Err(error) => assert!(matches!(error, OpenError::NoSpace { .. }), "{error}"),
    }
    fs::remove_file(&ballast).expect("it goes");
    let mut log = Log::open(&path, LogOptions::default()).expect("the log opens");
    assert!(
        log.head().next_seq >= acknowledged,
        "{} < {acknowledged}",
        log.head().next_seq
    );
    let more = Records::after(32, &log).take(20);
    log.append(&more, None).expect("it goes on");
    check_whole(&log.reader());
}

#[test]
fn a_read_only_file_system_is_named() {
    let dir = TempDir::new().expect("a directory");
    let image = dir.path().join("image");
    let mounted = match make_image(&image, 64).and_then(|()| Mounted::new(&image, dir.path(), "rw"))
    {
        Ok(mounted) => mounted,
        Err(why) => return skipped("read-only file systems", &why),
    };
    let mut log =
        Log::open(&mounted.path().join("log"), LogOptions::default()).expect("the log opens");
    log.append(&Records::new(33).take(20), None)
        .expect("it appends");
    drop(log);
    drop(mounted);
    let mounted = Mounted::new(&image, dir.path(), "ro").expect("it mounts");
    match Log::open(&mounted.path().join("log"), LogOptions::default()) {
        Err(error @ OpenError::ReadOnly { .. }) => assert!(
            error.to_string().contains("read-only file system"),
            "{error}"
        ),
        other => panic!("expected a read-only file system, got {:?}", other.err()),
    }
}

#[test]
fn a_daemon_on_a_full_disk_refuses_says_so_and_keeps_what_it_accepted() {
    let dir = TempDir::new().expect("a directory");
    let image = dir.path().join("image");
    let mounted = match make_image(&image, 64).and_then(|()| Mounted::new(&image, dir.path(), "rw"))
    {
        Ok(mounted) => mounted,
        Err(why) => return skipped("full disks", &why),
    };
    let data = mounted.path().join("data");
    let ballast = mounted.path().join("ballast");
    fs::write(&ballast, vec![1; 24 << 20]).expect("it is written");
    let (child, address) = start(&data);
    let mut accepted = 0;
    // Noise does not compress.
    let mut random = crate::records::Random::new(34);
    let refused = loop {
        let noise: String = (0..20_000)
            .map(|_| format!("{:016x}", random.next()))
            .collect();
        let body = format!(
            r#"{{"specversion":"1.0","id":"{accepted}","source":"/noise","type":"noise","data":{{"noise":"{noise}"}}}}"#
        );
        match post(&address, &body) {
            Some(200..=299) => accepted += 1,
            other => break other,
        }
        assert!(accepted < 1000, "64 MiB hold no 1,000 such records");
    };
    assert!(accepted > 0, "refused at once: {refused:?}");
    assert!(
        refused.is_none_or(|status| status >= 500),
        "it is no fault of the sender: {refused:?}"
    );
    let (output, said) = ended(child);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("free some space and start again"), "{said}");

    fs::remove_file(&ballast).expect("it goes");
    let (mut child, address) = start(&data);
    let (status, body) = get(&address, "/v1/events?type=noise&limit=1000").expect("it answers");
    assert_eq!(status, 200, "{body}");
    for number in 0..accepted {
        let id = format!(r#""id":"{number}""#);
        assert!(body.contains(&id), "event {number} was accepted");
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
}

#[test]
fn a_data_directory_of_somebody_else_is_named_and_left_alone() {
    let dir = TempDir::new().expect("a directory");
    let data = dir.path().join("data");
    let mut log = Log::open(&data, LogOptions::default()).expect("the log opens");
    log.append(&Records::new(35).take(20), None)
        .expect("it appends");
    drop(log);
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is set");
    };
    mode(dir.path(), 0o755);
    mode(&data, 0o555);
    mode(&data.join("lock"), 0o444);
    for command in ["verify", "run"] {
        // Root may do everything, so another user is asked.
        let mut weir = weir(&data);
        let program = weir.get_program().to_owned();
        let mut other = Command::new("setpriv");
        if fs::metadata("/proc/self")
            .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
        {
            other
                .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
                .arg(program)
                .env("WEIR_DATA", &data)
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped());
            weir = other;
        }
        weir.arg(command);
        if command == "run" {
            weir.args(["--listen", "127.0.0.1:0"]);
        }
        let child = match weir.spawn() {
            Ok(child) => child,
            Err(why) => return skipped("another user", &why.to_string()),
        };
        let (output, said) = ended(child);
        if matches!(output.status.code(), Some(126 | 127)) {
            return skipped("another user", &said);
        }
        assert_eq!(output.status.code(), Some(3), "{command}: {said}");
        assert!(said.contains("no permission for the log in"), "{said}");
        assert!(said.contains("run weir as the owner"), "{said}");
    }
    mode(&data, 0o755);
    mode(&data.join("lock"), 0o644);
    let log = Log::open(&data, LogOptions::default()).expect("the log opens");
    assert_eq!(check_whole(&log.reader()).len(), 20);
}

/// A daemon on a data directory, and where it answers.
#[expect(clippy::zombie_processes, reason = "whoever asked for it waits for it")]
fn start(data: &Path) -> (Child, String) {
    let note = data.join("address");
    let _gone = fs::remove_file(&note);
    let child = weir(data)
        .args(["run", "--listen", "127.0.0.1:0"])
        .env("WEIR_LOG", "warn")
        .spawn()
        .expect("it starts");
    let began = Instant::now();
    loop {
        let noted = fs::read_to_string(&note).unwrap_or_default();
        if let Some(address) = noted.trim().strip_prefix("http://")
            && matches!(get(address, "/readyz"), Some((200, _)))
        {
            return (child, address.to_owned());
        }
        assert!(began.elapsed() < PATIENCE, "it starts");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The status of the answer to an event; nothing if nobody answers.
fn post(address: &str, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    write!(
        stream,
        "POST /v1/events HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/cloudevents+json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    String::from_utf8(answer)
        .ok()?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
}
