//! `passarela backup` and `restore`: one file, whole or refused.
//!
//! The file begins with a line that names the format, then a line of JSON (engine, schema, digest), then the data: a
//! database file of `SQLite`, or what `pg_dump` writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::{Failure, Output};
use crate::app;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::store::{Db, backup, brands, db};

const MAGIC: &str = "PASSARELA-BACKUP 1";

#[derive(Debug, Args)]
pub struct Backup {
    /// A file that does not exist yet.
    file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// A file that `passarela backup` wrote.
    #[arg(required_unless_present = "epoch_only")]
    file: Option<PathBuf>,
    /// The data was restored by other means: only begin a new tag epoch.
    #[arg(long, conflicts_with = "file")]
    epoch_only: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    engine: String,
    schema_version: i64,
    created_at: DateTime<Utc>,
    /// Digest and length of the data.
    sha256: String,
    bytes: u64,
    /// Which master key the data was made with.
    master_key_check: String,
}

fn trouble(what: impl std::fmt::Display) -> Failure {
    Failure::Trouble(what.to_string())
}

/// A new file that only its owner can read: a backup holds personal data.
fn create(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| trouble(format!("{}: {error}", path.display())))
}

/// A file beside `path`, removed when dropped.
struct Beside(PathBuf);

impl Beside {
    fn new(path: &Path, suffix: &str) -> Result<Self, Failure> {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        if path.exists() {
            return Err(Failure::Usage(format!("{} is in the way: remove it", path.display())));
        }
        Ok(Self(path))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut name = self.0.as_os_str().to_owned();
            name.push(suffix);
            drop(fs::remove_file(PathBuf::from(name)));
        }
    }
}

impl Backup {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        let url = config.database.url.clone();
        let app = app::open(config, Arc::new(SystemClock)).await?;
        let data = Beside::new(&self.file, ".data")?;
        match &app.db {
            Db::Sqlite { .. } => {
                create(&data.0)?; // empty, with its mode: VACUUM INTO takes it as it is
                backup::copy_sqlite(&app.db, &data.0).await.map_err(trouble)?;
            }
            Db::Postgres { .. } => {
                create(&data.0)?;
                let mut dump = postgres_tool("pg_dump", &url);
                dump.args(["--format=custom", "--no-owner", "--no-privileges", "--file"]).arg(&data.0);
                run_tool(dump, "pg_dump").await?;
            }
        }
        let (sha256, bytes) = digest(&mut File::open(&data.0)?)?;
        let header = Header {
            engine: app.db.engine().to_owned(),
            schema_version: db::schema_version(),
            created_at: app.clock.now(),
            sha256,
            bytes,
            master_key_check: hex::encode(app.master_key.check_value()),
        };
        let partial = Beside::new(&self.file, ".partial")?;
        let mut file = create(&partial.0)?;
        writeln!(file, "{MAGIC}\n{}", serde_json::to_string(&header).map_err(trouble)?)?;
        io::copy(&mut File::open(&data.0)?, &mut file)?;
        file.sync_all()?;
        // A hard link fails where a file is: a backup is never overwritten, and never half there.
        fs::hard_link(&partial.0, &self.file).map_err(|error| trouble(format!("{}: {error}", self.file.display())))?;
        output.print(&json!({ "file": self.file, "bytes": bytes, "engine": header.engine }), || {
            format!("{}: {bytes} bytes of data", self.file.display())
        });
        Ok(())
    }
}

impl Restore {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        let count = match &self.file {
            Some(file) => restore(file, &config).await?,
            None => begin_epochs(&config.database.url).await?,
        };
        output.print(&json!({ "brands": count }), || {
            format!("restored; {count} brands begin a new tag epoch: every phone asks for everything once")
        });
        Ok(())
    }
}

/// A new epoch for every brand, in one transaction; how many. Needs the database and nothing else.
async fn begin_epochs(url: &str) -> Result<usize, Failure> {
    let db = Db::connect(url, 1).await.map_err(trouble)?;
    db.migrate().await.map_err(trouble)?;
    let mut tx = db.begin().await.map_err(trouble)?;
    let listed = brands::list(&mut tx.conn()).await.map_err(trouble)?;
    for brand in &listed {
        let now = SystemClock.now().timestamp();
        brands::begin_tag_epoch(&mut tx.conn(), brand.id, now).await.map_err(trouble)?;
    }
    tx.commit().await.map_err(trouble)?;
    db.close().await;
    Ok(listed.len())
}

/// Checks the file from its first byte to its last before anything is written, and writes only where nothing is.
async fn restore(path: &Path, config: &Config) -> Result<usize, Failure> {
    let no = |why: String| Failure::No(format!("{}: {why}", path.display()));
    let mut file = BufReader::new(File::open(path).map_err(|error| trouble(format!("{}: {error}", path.display())))?);
    let mut line = String::new();
    file.by_ref().take(64).read_line(&mut line).map_err(|_| no("is not a backup of Passarela".to_owned()))?;
    if line.trim_end() != MAGIC {
        return Err(no("is not a backup of Passarela".to_owned()));
    }
    line.clear();
    file.by_ref().take(4_096).read_line(&mut line).map_err(|_| no("is damaged: its header is cut".to_owned()))?;
    let header: Header =
        serde_json::from_str(&line).map_err(|_| no("is damaged: its header is not whole".to_owned()))?;
    if header.schema_version > db::schema_version() {
        return Err(no(format!("was made by a newer Passarela (schema {}); update first", header.schema_version)));
    }
    let is_postgres = config.database.url.starts_with("postgres");
    if (header.engine == "postgres") != is_postgres {
        return Err(no(format!("holds a {} database, and database.url names another engine", header.engine)));
    }
    let master_key = app::read_master_key(config)?;
    if header.master_key_check != hex::encode(master_key.check_value()) {
        return Err(no("was made with another master key: tokens of its passes would change".to_owned()));
    }
    let target = sqlite_path(&config.database.url)?;
    let data = match &target {
        Some(target) => {
            // A write-ahead log left behind would be played onto the restored file.
            for suffix in ["", "-wal", "-shm", "-journal"] {
                let mut name = target.as_os_str().to_owned();
                name.push(suffix);
                if Path::new(&name).exists() {
                    let name = Path::new(&name).display().to_string();
                    return Err(Failure::No(format!("{name} exists; a restore never overwrites")));
                }
            }
            if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder)?;
            }
            Beside::new(target, ".restoring")?
        }
        None => Beside::new(path, ".data")?,
    };
    let mut copy = create(&data.0)?;
    io::copy(&mut file, &mut copy)?;
    copy.sync_all()?;
    let (sha256, bytes) = digest(&mut File::open(&data.0)?)?;
    if bytes != header.bytes || sha256 != header.sha256 {
        return Err(no(format!("is damaged: {bytes} bytes of {} with another digest", header.bytes)));
    }
    match target {
        Some(target) => place_sqlite(&data.0, &target).await,
        None => place_postgres(&data.0, config).await,
    }
}

async fn place_sqlite(data: &Path, target: &Path) -> Result<usize, Failure> {
    let url = format!("sqlite://{}", data.display());
    let db = Db::connect(&url, 1).await.map_err(trouble)?;
    let damage = backup::find_damage(&db).await.map_err(trouble)?;
    db.close().await;
    if let Some(damage) = damage {
        return Err(Failure::No(format!("the database in the backup is damaged: {damage}")));
    }
    // The epoch begins before the database is where a server would find it.
    let count = begin_epochs(&url).await?;
    fs::hard_link(data, target).map_err(|error| trouble(format!("{}: {error}", target.display())))?;
    Ok(count)
}

async fn place_postgres(data: &Path, config: &Config) -> Result<usize, Failure> {
    let db = Db::connect(&config.database.url, 1).await.map_err(trouble)?;
    let found = backup::find_schema_version(&mut db.read().await.map_err(trouble)?.conn()).await.map_err(trouble)?;
    db.close().await;
    if found.is_some() {
        return Err(Failure::No("the database is not empty; a restore never overwrites".to_owned()));
    }
    let mut tool = postgres_tool("pg_restore", &config.database.url);
    tool.args(["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]).arg(data);
    run_tool(tool, "pg_restore").await?;
    let advice =
        "the data is there, but its tag epoch is not new: run passarela restore --epoch-only before any server";
    begin_epochs(&config.database.url).await.map_err(|failure| trouble(format!("{failure}; {advice}")))
}

/// `pg_dump` or `pg_restore` on the database; the password goes by the environment, where other users cannot see it.
fn postgres_tool(name: &str, url: &str) -> Command {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (mut shown, mut password) = (rest.to_owned(), None);
    if let Some((user, host)) = rest.rsplit_once('@')
        && let Some((user, secret)) = user.split_once(':')
    {
        shown = format!("{user}@{host}");
        password = Some(percent_decoded(secret));
    }
    let mut command = Command::new(name);
    command.arg("--dbname").arg(format!("{scheme}://{shown}")).kill_on_drop(true);
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    command
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = (*first == b'%').then(|| tail.get(..2).and_then(|pair| hex::decode(pair).ok())).flatten();
        match hex {
            Some(byte) => {
                bytes.extend(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn run_tool(mut command: Command, name: &str) -> Result<(), Failure> {
    let output = command.output().await.map_err(|error| {
        trouble(format!("{name}: {error}. It comes with PostgreSQL's client (Debian: postgresql-client)"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(trouble(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// The file that an `SQLite` URL means to sqlx, with parameters and escapes taken care of; `None` for `PostgreSQL`.
fn sqlite_path(url: &str) -> Result<Option<PathBuf>, Failure> {
    if !url.starts_with("sqlite:") {
        return Ok(None);
    }
    db::sqlite_file(url).map(Some).map_err(|error| Failure::Usage(format!("database.url: {error}")))
}

fn digest(file: &mut File) -> Result<(String, u64), Failure> {
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0u64, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hex::encode(hasher.finalize()), bytes));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_among_the_arguments() {
        let command = postgres_tool("pg_dump", "postgres://ana:s%40cret@db.example/passes?sslmode=require");
        let command = command.as_std();
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        assert_eq!(arguments, ["--dbname", "postgres://ana@db.example/passes?sslmode=require"]);
        assert!(
            command.get_envs().any(|(key, value)| key == "PGPASSWORD" && value.is_some_and(|value| value == "s@cret"))
        );
    }
}
