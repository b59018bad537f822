//! Unpacks bundles of unknown origin, within bounds.

use std::io::{Cursor, Read as _};

use zip::CompressionMethod;

use crate::wallet::apple::verify::Contents;
use crate::wallet::fault::Fault;
use crate::wallet::zips::entries_said;

const FILES_MAX: usize = 200;
const UNPACKED_MAX: u64 = 30 * 1024 * 1024;

/// A `.pkpasses` holds at most this many passes, or bytes (Apple, "Distributing and updating a pass").
const PASSES_MAX: usize = 10;
const PASSES_MAX_BYTES: u64 = 150 * 1024 * 1024;

/// A file that is a pass, or a bundle of passes.
pub enum Unpacked {
    Pass,
    /// The passes by name, and what is wrong with the file around them.
    Passes(Vec<(String, Vec<u8>)>, Vec<Fault>),
}

/// Whether a zip is one pass or several: a bundle holds files that end in `.pkpass`.
pub fn unpack(file: &[u8]) -> Result<Unpacked, Fault> {
    let mut archive = open(file)?;
    if archive.index_for_name("pass.json").is_some() {
        return Ok(Unpacked::Pass);
    }
    let mut passes = Vec::new();
    let mut faults = Vec::new();
    let mut left = PASSES_MAX_BYTES;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| broken(&error))?;
        let name = name_of(&entry)?;
        if entry.is_dir() || !name.ends_with(".pkpass") {
            continue;
        }
        let mut content = Vec::new();
        let read = entry.take(left + 1).read_to_end(&mut content);
        let read = read.map_err(|error| Fault::refused("zip", format!("{name}: {error}")))? as u64;
        left = left.checked_sub(read).ok_or_else(|| Fault::refused("zip", "over 150 MB of passes"))?;
        passes.push((name, content));
    }
    if passes.is_empty() {
        return Ok(Unpacked::Pass);
    }
    if passes.len() > PASSES_MAX {
        faults.push(Fault::refused("passes", format!("{} passes; phones take {PASSES_MAX} at a time", passes.len())));
    }
    Ok(Unpacked::Passes(passes, faults))
}

fn broken(error: &zip::result::ZipError) -> Fault {
    Fault::refused("zip", format!("not a zip file: {error}"))
}

fn open(file: &[u8]) -> Result<zip::ZipArchive<Cursor<&[u8]>>, Fault> {
    let archive = zip::ZipArchive::new(Cursor::new(file)).map_err(|error| broken(&error))?;
    if archive.len() > FILES_MAX {
        return Err(Fault::refused("zip", format!("{} files; at most {FILES_MAX} are read", archive.len())));
    }
    if entries_said(file) != Some(archive.len()) {
        return Err(Fault::refused("zip-twice", "several entries have one name"));
    }
    Ok(archive)
}

fn name_of<R: std::io::Read>(entry: &zip::read::ZipFile<'_, R>) -> Result<String, Fault> {
    Ok(entry.name().map_err(|error| broken(&error))?.into_owned())
}

/// The files of a pass, and what a phone dislikes about the zip around them.
pub fn unpack_pass(bundle: &[u8]) -> Result<(Contents, Vec<Fault>), Fault> {
    let mut archive = open(bundle)?;
    let mut files = Contents::new();
    let mut faults = Vec::new();
    let mut left = UNPACKED_MAX;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| broken(&error))?;
        let name = name_of(&entry)?;
        if entry.is_dir() {
            continue; // real passes have entries for their folders
        }
        if name.contains('\\') || name.starts_with('/') || name.split('/').any(|part| part == "..") {
            return Err(Fault::refused("zip-name", format!("{name:?} is no path inside a bundle")));
        }
        if entry.encrypted() {
            return Err(Fault::refused("zip-method", format!("{name} is encrypted")));
        }
        if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
            return Err(Fault::refused("zip-method", format!("{name} is packed with {}", entry.compression())));
        }
        let mut content = Vec::with_capacity(usize::try_from(entry.size().min(left)).unwrap_or_default());
        let read = entry.take(left + 1).read_to_end(&mut content);
        let read = read.map_err(|error| Fault::refused("zip", format!("{name}: {error}")))? as u64;
        left = left.checked_sub(read).ok_or_else(|| Fault::refused("zip", "over 30 MiB unpacked"))?;
        files.insert(name, content);
    }
    if !files.contains_key("pass.json")
        && let Some(path) = files.keys().find(|path| path.ends_with("/pass.json"))
    {
        faults.push(Fault::refused("zip-folder", format!("{path}: the folder was packed instead of what is in it")));
    }
    Ok((files, faults))
}
