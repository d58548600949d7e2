//! Files that are written as a whole or not at all, also when the power is cut.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Writes a file first as `unfinished`, in the same directory, and names it `path` once it is on the
/// disk: whoever reads `path` finds what was there before or all of this.
///
/// # Errors
/// `path` is as it was, or all of this but perhaps not durable. What there is of `unfinished` stays.
pub(crate) fn put(
    path: &Path,
    unfinished: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = File::create(unfinished)?;
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => sync_dir(dir),
        _ => sync_dir(Path::new(".")),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_there_stays_until_all_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (path, unfinished) = (dir.path().join("file"), dir.path().join("file.new"));
        let text = || fs::read_to_string(&path).unwrap();
        put(&path, &unfinished, |file| file.write_all(b"before")).unwrap();
        let cut = put(&path, &unfinished, |file| {
            file.write_all(b"ha")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(cut.is_err());
        assert_eq!(text(), "before");
        put(&path, &unfinished, |file| file.write_all(b"after")).unwrap();
        assert_eq!(text(), "after");
        assert!(!unfinished.exists());
    }
}
