//! File systems in loop images, for tests that pull the plug or fill the disk.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

/// Says, past the capture of test output, that something was not tested.
pub fn skipped(what: &str, why: &str) {
    let _ = writeln!(
        std::io::stderr(),
        "\nSKIPPED: {what} need root and loop devices: {why}\n"
    );
}

/// A file system of so many MiB in a file.
pub fn make_image(path: &Path, mebibytes: u64) -> Result<(), String> {
    let file = File::create(path).map_err(|error| error.to_string())?;
    file.set_len(mebibytes << 20)
        .map_err(|error| error.to_string())?;
    shell("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), path.as_ref()])
}

/// A file system in an image, mounted until dropped.
pub struct Mounted {
    dir: TempDir,
}

impl Mounted {
    pub fn new(image: &Path, beside: &Path, mode: &str) -> Result<Mounted, String> {
        let dir = TempDir::new_in(beside).map_err(|error| error.to_string())?;
        shell(
            "mount",
            &[
                "-o".as_ref(),
                format!("loop,{mode}").as_ref(),
                image.as_ref(),
                dir.path().as_ref(),
            ],
        )?;
        Ok(Mounted { dir })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The kernel may hold the files of a process just killed for a moment.
        for _ in 0..100 {
            if shell("umount", &[self.dir.path().as_ref()]).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub fn shell(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("`{program}`: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "`{program}`: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
