//! `.pkpasses`: several passes in one file, added with one tap (Apple, "Distributing and updating a pass").

use crate::wallet::apple::archive::Archive;

/// Passes of one file at most, and bytes.
pub const PASSES_MAX: usize = 10;
pub const BYTES_MAX: usize = 150 * 1000 * 1000;

/// Apple's media type.
pub const PKPASSES: &str = "application/vnd.apple.pkpasses";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSeveral {
    #[error("a .pkpasses holds 1 to {PASSES_MAX} passes")]
    Count,
    #[error("a .pkpasses holds at most 150 MB")]
    Size,
}

/// Puts passes together as they are; they are compressed already.
pub fn put_together(passes: &[Vec<u8>]) -> Result<Vec<u8>, BadSeveral> {
    if passes.is_empty() || passes.len() > PASSES_MAX {
        return Err(BadSeveral::Count);
    }
    if passes.iter().map(Vec::len).sum::<usize>() > BYTES_MAX {
        return Err(BadSeveral::Size);
    }
    let mut archive = Archive::default();
    for (index, pass) in passes.iter().enumerate() {
        archive.store(&format!("pass{}.pkpass", index + 1), pass);
    }
    Ok(archive.finish())
}
