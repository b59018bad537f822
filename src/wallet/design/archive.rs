//! A design as it is uploaded: a zip from anybody. Nothing is written until all of it has been looked at; each refusal names
//! the rule.

use std::collections::BTreeSet;
use std::io::{Cursor, Read as _};

use zip::CompressionMethod;

use crate::wallet::design::{BadDesign, Files, is_known_file};
use crate::wallet::zips::entries_said;

/// Bytes of the zip at most.
pub const PACKED_MAX: usize = 10 * 1024 * 1024;
const UNPACKED_MAX: u64 = 30 * 1024 * 1024;
const ENTRIES_MAX: usize = 200;
const NAME_MAX: usize = 128;
/// How many times its packed size a file may unpack to.
const RATIO_MAX: u64 = 100;

fn refused(file: &str, reason: impl Into<String>) -> BadDesign {
    // A name from outside: at most what may be shown.
    let file = file.chars().take(NAME_MAX).map(|c| if c.is_control() { '?' } else { c }).collect();
    BadDesign { file, line: None, reason: reason.into() }
}

/// The design's files, as they were packed: nobody has looked at what they hold. What systems leave behind (`.DS_Store`,
/// `__MACOSX/`) and the sources of images (`artwork/`) are passed over; one folder around everything is, too.
pub fn unpack(packed: &[u8]) -> Result<Files, BadDesign> {
    let whole = |reason: &str| refused("the zip", reason);
    if packed.len() > PACKED_MAX {
        return Err(whole("is over 10 MiB"));
    }
    let mut archive =
        zip::ZipArchive::new(Cursor::new(packed)).map_err(|error| whole(&format!("cannot be read: {error}")))?;
    if archive.len() > ENTRIES_MAX {
        return Err(whole(&format!("holds {} entries; at most {ENTRIES_MAX}", archive.len())));
    }
    if entries_said(packed) != Some(archive.len()) {
        return Err(whole("has several entries of one name"));
    }
    if !is_whole(packed, archive.offset()) {
        return Err(whole("has something before its first entry or behind its end"));
    }
    if archive.has_overlapping_entries().unwrap_or(true) {
        return Err(whole("has entries that lie over each other"));
    }
    let names = read_names(packed, &mut archive)?;
    let folder = common_folder(&names);
    let mut files = Files::new();
    let mut left = UNPACKED_MAX;
    for (index, name) in names.iter().enumerate() {
        if name.ends_with('/') || is_passed_over(name.strip_prefix(&folder).unwrap_or(name)) {
            continue;
        }
        let path = name.strip_prefix(&folder).unwrap_or(name);
        if !is_known_file(path) {
            return Err(refused(path, "is no file of a design: template.toml, <locale>.toml and PNG images are"));
        }
        let content = read_entry(&mut archive, index, path, &mut left)?;
        files.insert(path.to_owned(), content);
    }
    Ok(files)
}

type Archive<'a> = zip::ZipArchive<Cursor<&'a [u8]>>;

/// The names of all entries, each looked at before any is unpacked.
fn read_names(packed: &[u8], archive: &mut Archive<'_>) -> Result<Vec<String>, BadDesign> {
    let mut names = Vec::with_capacity(archive.len());
    let mut folded = BTreeSet::new();
    for index in 0..archive.len() {
        let entry =
            archive.by_index_raw(index).map_err(|error| refused("the zip", format!("cannot be read: {error}")))?;
        let name =
            std::str::from_utf8(entry.name_raw()).map_err(|_| refused("the zip", "has a name that is not UTF-8"))?;
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(refused(name, format!("has a name of {} bytes; 1 to {NAME_MAX} are taken", name.len())));
        }
        if name.contains('\\') {
            return Err(refused(name, "has a backslash in its name"));
        }
        if name.starts_with('/') || name.contains(':') || name.split('/').any(|part| part == ".." || part == ".") {
            return Err(refused(name, "has a name that leads out of the folder"));
        }
        // Letters beyond ASCII have twins that look alike; no file of a design needs them.
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@/ ".contains(&byte)) {
            return Err(refused(name, "has a name with other characters than A-Z, a-z, 0-9 and . _ - @"));
        }
        if !folded.insert(name.to_ascii_lowercase()) {
            return Err(refused(name, "differs from another name by case alone"));
        }
        if entry.encrypted() {
            return Err(refused(name, "is encrypted"));
        }
        if entry.is_symlink()
            || entry.unix_mode().is_some_and(|mode| !matches!(mode & 0o170_000, 0 | 0o040_000 | 0o100_000))
        {
            return Err(refused(name, "is a link or a device, not a file"));
        }
        if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
            return Err(refused(name, format!("is packed with {}; only deflate is taken", entry.compression())));
        }
        if !says_the_same(packed, &entry) {
            return Err(refused(name, "is of another size in its own header than in the directory"));
        }
        if entry.size() > UNPACKED_MAX {
            return Err(refused(name, "is over 30 MiB unpacked"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Whether the zip is the whole file: what is around it another reader might take for the file.
fn is_whole(packed: &[u8], offset: u64) -> bool {
    /// "PK\5\6", the end of the directory; its last two bytes are the length of a comment.
    const END: &[u8] = b"PK\x05\x06";
    const END_LEN: usize = 22;
    let end = packed.windows(END.len()).rposition(|window| window == END);
    let rest = end.and_then(|end| packed.get(end..)).unwrap_or_default();
    let comment = rest.get(END_LEN - 2..END_LEN).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes);
    offset == 0
        && packed.starts_with(b"PK")
        && comment.is_some_and(|length| rest.len() == END_LEN + usize::from(length))
}

/// Whether the header in front of an entry says the sizes that the directory says, or leaves them to what follows it.
fn says_the_same<R: std::io::Read>(packed: &[u8], entry: &zip::read::ZipFile<'_, R>) -> bool {
    const LATER: u8 = 0b1000;
    let Some(header) = usize::try_from(entry.header_start()).ok().and_then(|start| packed.get(start..start + 30))
    else {
        return false;
    };
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).map(u64::from)
    };
    let is_later = header.get(6).is_some_and(|flags| flags & LATER != 0);
    is_later || (number(18) == Some(entry.compressed_size()) && number(22) == Some(entry.size()))
}

/// `card/`, when everything is in one folder of that name.
fn common_folder(names: &[String]) -> String {
    let real = || names.iter().filter(|name| !is_passed_over(name));
    if real().any(|name| name == "template.toml") {
        return String::new();
    }
    let folder = real().find_map(|name| name.strip_suffix("template.toml")).unwrap_or_default();
    if real().all(|name| name.starts_with(folder)) { folder.to_owned() } else { String::new() }
}

fn is_passed_over(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    path.starts_with("__MACOSX/") || path.starts_with("artwork/") || matches!(file, ".DS_Store" | "Thumbs.db")
}

/// Unpacks one entry, counting as it goes: what a zip says about sizes is not to be believed.
fn read_entry(archive: &mut Archive<'_>, index: usize, name: &str, left: &mut u64) -> Result<Vec<u8>, BadDesign> {
    let entry = archive.by_index(index).map_err(|error| refused(name, format!("cannot be read: {error}")))?;
    let (said, packed) = (entry.size(), entry.compressed_size());
    let limit = said.min(*left).min(packed.saturating_mul(RATIO_MAX));
    let mut content = Vec::new();
    let read = entry.take(limit + 1).read_to_end(&mut content);
    let read = read.map_err(|error| refused(name, format!("cannot be unpacked: {error}")))? as u64;
    if read > said || (read < said && read <= limit) {
        return Err(refused(name, "is not of the size that the zip says"));
    }
    if read > packed.saturating_mul(RATIO_MAX) {
        return Err(refused(name, format!("unpacks to over {RATIO_MAX} times its size")));
    }
    *left = left.checked_sub(read).ok_or_else(|| refused("the zip", "is over 30 MiB unpacked"))?;
    Ok(content)
}
