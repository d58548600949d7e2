//! The log's directory: its lock and the file that names its format.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::durable::{self, sync_dir};

/// What the file `format` says of a log that this version writes.
pub(super) const FORMAT: &str = "weir log 3\n";

/// What it says of those that it reads and goes on with: the forms of the head (in 1) and of chunks (in
/// 1 and 2) differ.
const FORMATS: [&str; 3] = ["weir log 1\n", "weir log 2\n", FORMAT];

/// How often a lock that somebody has is tried again, and after how long.
const LOOKS: u32 = 4;
const LOOK: Duration = Duration::from_millis(25);

/// Makes the directory of a log, and those above it, if they are not there. It is for its owner alone:
/// what the log says is asked of a daemon, which asks for a token.
///
/// # Errors
/// It cannot be made.
pub fn make(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Whether a process has the log in `dir` open. Changes nothing.
#[must_use]
pub fn is_open(dir: &Path) -> bool {
    let lock = File::open(dir.join("lock"));
    lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The exclusive lock of a log. Released when dropped, or by the kernel when the process dies.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; `Ok(Err(text))` if another has it, with what it wrote of itself. Whoever only
    /// looks whether somebody has it (`is_open`) is waited for.
    pub(super) fn take(dir: &Path) -> io::Result<Result<Lock, String>> {
        for _ in 0..LOOKS {
            match Self::try_take(dir)? {
                Ok(lock) => return Ok(Ok(lock)),
                Err(_) => thread::sleep(LOOK),
            }
        }
        Self::try_take(dir)
    }

    fn try_take(dir: &Path) -> io::Result<Result<Lock, String>> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("lock"))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                write!(file, "process {}", std::process::id())?;
                Ok(Ok(Lock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.rewind()?;
                file.take(100).read_to_string(&mut holder)?;
                Ok(Err(holder))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// What a directory is.
pub(super) enum Found {
    /// A log of a format that this version reads.
    Log(&'static str),
    /// A log of another format, by its own words.
    OtherFormat(String),
    /// Nothing: a log may be made here.
    Nothing,
    /// Something that is no log.
    Something,
}

/// Looks without changing anything.
pub(super) fn inspect(dir: &Path) -> io::Result<Found> {
    match fs::read(dir.join("format")) {
        Ok(format) => {
            let known = FORMATS.iter().find(|known| known.as_bytes() == format);
            if let Some(known) = known {
                return Ok(Found::Log(known));
            }
            let text = String::from_utf8_lossy(format.get(..60).unwrap_or(&format))
                .trim()
                .to_owned();
            Ok(Found::OtherFormat(text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            for entry in fs::read_dir(dir)? {
                // A crash while the log was being made leaves these.
                if !["lock", "format.new"].iter().any(|name| {
                    *name
                        == entry
                            .as_ref()
                            .map_or_else(|_| "".into(), |entry| entry.file_name())
                }) {
                    return Ok(Found::Something);
                }
            }
            Ok(Found::Nothing)
        }
        Err(error) => Err(error),
    }
}

/// Writes the file that makes the directory a log of [`FORMAT`], durably and all at once.
pub(super) fn name_format(dir: &Path) -> io::Result<()> {
    durable::put(&dir.join("format"), &dir.join("format.new"), |file| {
        file.write_all(FORMAT.as_bytes())
    })?;
    if let Some(parent) = dir.canonicalize()?.parent() {
        sync_dir(parent)?;
    }
    Ok(())
}
