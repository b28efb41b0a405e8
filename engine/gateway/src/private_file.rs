//! Files with secrets: for their owner alone. Knows nothing of what is in them.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes beside the file and renames, so that a server that reloads never reads half of it. A new one is for its owner alone; one that is
/// there keeps its permissions.
pub(crate) fn replace(file: &Path, text: &str) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    write(beside, text)?;
    if let Ok(meta) = std::fs::metadata(file) {
        std::fs::set_permissions(beside, meta.permissions())?;
    }
    std::fs::rename(beside, file)
}

/// A new file, or one in the place of another, for its owner alone: it holds verifiers.
pub(crate) fn write(file: &Path, text: &str) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut made = File::options().write(true).create_new(true).mode(0o600).open(file)?;
    made.write_all(text.as_bytes())?;
    made.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_nobody_elses_until_it_has_its_place() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (file, beside) = (folder.path().join("q.toml"), folder.path().join("q.toml.new"));
        let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
        // Left by an earlier run, readable for all.
        std::fs::write(&beside, "old").unwrap();
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o666)).unwrap();
        write(&beside, "new").unwrap();
        assert_eq!((mode(&beside), std::fs::read_to_string(&beside).unwrap().as_str()), (0o600, "new"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        replace(&file, "new").unwrap();
        assert_eq!((mode(&file), std::fs::read_to_string(&file).unwrap().as_str()), (0o640, "new"));
        assert!(!beside.exists());
    }
}
