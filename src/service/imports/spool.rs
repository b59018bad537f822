//! The folder of files that are being imported: written as they arrive, read a window at a time, gone when they are done.
//! They hold personal data, so nobody else may read them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::clock::random_alphanumeric;
use crate::domain::ids::JobId;
use crate::domain::rows::{Layout, ROW_MAX};
use crate::service::{App, Problem};

/// How much of a file's beginning is looked at before the rest is taken: a header may be as long as a row.
pub const HEAD_BYTES: usize = 2 * ROW_MAX;

/// Bytes that one window over a file has.
const WINDOW_BYTES: usize = 4 * ROW_MAX;

/// A file that is whole.
#[derive(Debug)]
pub struct Spooled {
    pub job: JobId,
    /// The folder's name for itself.
    pub spool: String,
    pub size_bytes: i64,
    whole: Part,
}

/// A piece of a body, on its way to the disk.
#[derive(Debug)]
pub enum Piece {
    Bytes(Bytes),
    /// The body is whole. Without it, what came is thrown away.
    End,
}

/// The name that the folder has for itself; `None`: no file was ever taken here. Replicas that share the folder share the
/// name, wherever it is mounted.
pub fn find_name(app: &App) -> Result<Option<String>, Problem> {
    match std::fs::read_to_string(app.config.imports.spool_dir.join("name")) {
        Ok(name) => Ok(Some(name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(trouble(error)),
    }
}

/// The same, made with the folder by the first who takes a file.
fn name(app: &App) -> Result<String, Problem> {
    let folder = &app.config.imports.spool_dir;
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(trouble)?;
    if let Some(name) = find_name(app)? {
        return Ok(name);
    }
    // Whole from its first moment: written beside, then linked, by the first of several who try.
    let name = random_alphanumeric(&*app.clock, 22);
    let draft = folder.join(format!("name.{name}"));
    std::fs::write(&draft, &name).map_err(trouble)?;
    let linked = std::fs::hard_link(&draft, folder.join("name"));
    drop(std::fs::remove_file(&draft));
    match linked {
        Ok(()) => Ok(name),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            find_name(app)?.ok_or_else(|| Problem::internal("the spool's name is gone"))
        }
        Err(error) => Err(trouble(error)),
    }
}

fn trouble(error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::StorageFull(sqlx::Error::Io(error)),
        _ => Problem::internal(error),
    }
}

fn path(app: &App, job: JobId) -> PathBuf {
    app.config.imports.spool_dir.join(job.to_string())
}

/// Takes the pieces of a body to the disk; `check` sees the file's beginning, and whatever it refuses is taken no further.
/// Blocks: for a thread that may.
pub fn receive<T>(
    app: &App,
    mut pieces: mpsc::Receiver<Piece>,
    check: impl FnOnce(&[u8]) -> Result<T, Problem>,
) -> Result<(Spooled, T), Problem> {
    let spool = name(app)?;
    let job = JobId::new(app.clock.new_id());
    let part = Part(path(app, job).with_extension("part"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part.0).map_err(trouble)?;
    let limit_bytes =
        usize::try_from(app.config.imports.file_max_mib.saturating_mul(1024 * 1024)).unwrap_or(usize::MAX);
    let (mut check, mut checked, mut head, mut size) = (Some(check), None, Vec::new(), 0usize);
    loop {
        match pieces.blocking_recv() {
            // Whoever sent it is gone.
            None => return Err(Problem::CutOff),
            Some(Piece::End) => break,
            Some(Piece::Bytes(bytes)) => {
                size = size.saturating_add(bytes.len());
                if size > limit_bytes {
                    return Err(Problem::TooLarge { limit_bytes });
                }
                if check.is_some() {
                    head.extend_from_slice(&bytes);
                    if head.len() >= HEAD_BYTES
                        && let Some(check) = check.take()
                    {
                        checked = Some(check(&head)?);
                    }
                }
                file.write_all(&bytes).map_err(trouble)?;
            }
        }
    }
    if let Some(check) = check {
        checked = Some(check(&head)?);
    }
    let checked = checked.ok_or_else(|| Problem::internal("a file that nobody looked at"))?;
    file.sync_all().map_err(trouble)?;
    let whole = Part(path(app, job));
    std::fs::rename(&part.0, &whole.0).map_err(trouble)?;
    // Its name too is to survive a power failure.
    File::open(&app.config.imports.spool_dir).and_then(|folder| folder.sync_all()).map_err(trouble)?;
    let size_bytes = i64::try_from(size).map_err(Problem::internal)?;
    Ok((Spooled { job, spool, size_bytes, whole }, checked))
}

impl Spooled {
    /// The file is a job's now, and stays.
    pub fn keep(self) {
        std::mem::forget(self.whole);
    }
}

/// A file that is nobody's yet; gone with whoever writes it.
#[derive(Debug)]
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// A file of the spool, open; rows are read from a place in it.
pub struct Source {
    file: File,
    size: u64,
}

/// Rows and where each ends, from where they were asked for.
pub struct Window {
    pub taken: crate::domain::rows::Taken,
    /// Whether the file ends where reading stopped.
    pub is_over: bool,
}

impl Source {
    pub fn open(app: &App, job: JobId) -> io::Result<Self> {
        let file = File::open(path(app, job))?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }

    /// Up to `max` rows from `offset` on, which stands at the beginning of line `line`. Blocks.
    pub fn read(&self, layout: &Layout, offset: i64, line: i64, max: usize) -> io::Result<Window> {
        let offset = u64::try_from(offset).map_err(io::Error::other)?;
        let left = self.size.saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(WINDOW_BYTES);
        let mut window = vec![0; length];
        self.file.read_exact_at(&mut window, offset)?;
        let is_last = left <= length as u64;
        let mut taken = layout.take(&window, is_last, line, max);
        let mut is_over = is_last && taken.end.bytes == length;
        if taken.is_torn {
            // One refusal, however long the line is.
            let from = offset + taken.end.bytes as u64;
            let (rest, has_end) = self.rest_of_line(from)?;
            taken.end.bytes += usize::try_from(rest).map_err(io::Error::other)?;
            taken.end.lines += i64::from(has_end);
            if let Some(last) = taken.ends.last_mut() {
                *last = taken.end;
            }
            is_over = from + rest == self.size;
        }
        Ok(Window { taken, is_over })
    }

    /// How many bytes there are up to the end of a line, its end included if it has one.
    fn rest_of_line(&self, from: u64) -> io::Result<(u64, bool)> {
        let mut piece = vec![0; WINDOW_BYTES];
        let mut at = from;
        loop {
            let length = self.file.read_at(&mut piece, at)?;
            let found = piece.get(..length).unwrap_or_default().iter().position(|byte| *byte == b'\n');
            match found {
                Some(place) => return Ok((at + place as u64 + 1 - from, true)),
                None if length == 0 => return Ok((at - from, false)),
                None => at += length as u64,
            }
        }
    }
}

/// Forgets a file. One that cannot be removed now is found by [`sweep`].
pub async fn remove(app: &App, job: JobId) {
    let path = path(app, job);
    if let Err(error) = tokio::fs::remove_file(&path).await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!("an imported file stays: {}: {error}", path.display());
    }
}

/// How long a file that is no running job's is left alone: it may be about to become one.
const YOUNG: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Files of the folder that are old, and their jobs; parts that their writers left behind are removed here.
pub fn list_old(folder: &Path) -> io::Result<Vec<JobId>> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let is_old = entry
            .metadata()
            .and_then(|about| about.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > YOUNG));
        if !is_old {
            continue;
        }
        let (name, path) = (entry.file_name(), entry.path());
        if path.extension().is_some_and(|extension| extension == "part") {
            std::fs::remove_file(&path)?;
        } else if let Some(job) = name.to_str().and_then(|name| name.parse().ok()) {
            found.push(job);
        }
    }
    Ok(found)
}
