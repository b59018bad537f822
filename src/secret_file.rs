//! Files with secrets in them: read only if nobody but their owner can.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum BadSecret {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: readable by others than its owner; do: chmod 600 {}", path.display(), path.display())]
    Open { path: PathBuf },
}

pub fn read(path: &Path) -> Result<Vec<u8>, BadSecret> {
    let failed = |source| BadSecret::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(BadSecret::Open { path: path.to_owned() });
    }
    std::fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_read_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret").unwrap();
        assert_eq!(read(file.path()).unwrap(), b"secret");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(file.path()), Err(BadSecret::Open { .. })));
        assert!(matches!(read(Path::new("/no such file")), Err(BadSecret::Read { .. })));
    }
}
