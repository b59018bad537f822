//! What reading zips of strangers needs beside the library.

/// How many entries the zip's last record says that it has. The library keeps one entry for each name, the last: a zip with
/// more entries than names holds one file for one reader and another for the next.
pub fn entries_said(zip: &[u8]) -> Option<usize> {
    const END: &[u8] = b"PK\x05\x06";
    // The record is 22 bytes long, and a comment of at most 65,535 bytes may follow.
    let tail = zip.get(zip.len().saturating_sub(22 + 65_535)..)?;
    let at = tail.windows(END.len()).rposition(|window| window == END)?;
    let count: [u8; 2] = tail.get(at + 10..at + 12)?.try_into().ok()?;
    Some(usize::from(u16::from_le_bytes(count)))
}
