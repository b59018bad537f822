//! What use cases work with, and the one way to run them: in a tracked task on the main runtime.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::ids::BrandId;
use crate::service::Problem;
use crate::service::bundles::Bundles;
use crate::service::code_keys::KnownKeys;
use crate::service::deliver::apns::Pushes;
use crate::service::deliver::apps::Projects;
use crate::service::deliver::google::Issuers;
use crate::service::keys::RecentKeys;
use crate::service::loyalty::rules::ReadyRules;
use crate::service::preview::Previews;
use crate::service::reads::Reads;
use crate::service::save_link;
use crate::service::sightings::Sightings;
use crate::service::signers::Signers;
use crate::service::stores::Voices;
use crate::service::templates::Templates;
use crate::store::brands::Brand;
use crate::store::{Db, installation};
use crate::wallet::apple::certificates::Certificates;
use crate::wallet::keys::MasterKey;

/// Designs that are looked at at the same time; whoever comes then is asked to come again.
const UPLOADS_MAX: usize = 2;

/// Shared by every request and worker; cloning is cheap.
#[derive(Clone)]
pub struct App(Arc<Parts>);

pub struct Parts {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    pub config: Config,
    pub master_key: MasterKey,
    pub(super) signers: Signers,
    pub templates: Templates,
    pub(super) keys: RecentKeys,
    pub(super) voices: Voices,
    pub(super) code_keys: KnownKeys,
    /// What programs promise.
    pub(super) rules: ReadyRules,
    pub bundles: Bundles,
    pub reads: Reads,
    pub previews: Previews,
    /// Uploaded designs that are looked at: pictures are decoded, which takes a core and some megabytes.
    pub(super) uploads: Semaphore,
    /// Clicks on "Add to Google Wallet" that wait for Google.
    pub(super) clicks: Semaphore,
    /// Whose codes forged ones may be is looked up one at a time.
    pub(super) strangers: Semaphore,
    /// Files that brands are sending.
    pub(super) receiving: Mutex<HashMap<BrandId, usize>>,
    /// Brands by code. A code never changes and a brand is never removed, so an entry is right for ever.
    pub(super) brands: RwLock<HashMap<String, Brand>>,
    /// Wakes the publisher of this process at once; others find the work by their poll.
    pub changed: Notify,
    /// Tells the dispatchers of this process that something is to be told: others find it by their poll.
    pub queued: watch::Sender<u64>,
    pub(super) sightings: Sightings,
    /// The ways to Apple's push service.
    pub(super) pushes: Pushes,
    /// The ways to Google Wallet.
    pub(super) issuers: Issuers,
    /// The ways to Firebase.
    pub(super) projects: Projects,
    /// Wakes what makes the steps of roll-outs, likewise.
    pub rolled: Notify,
    /// Wakes what works on imported files, likewise.
    pub imported: Notify,
    runtime: Handle,
    tasks: TaskTracker,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// `runtime` is the multi-thread runtime that outlives every connection.
    pub fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        config: Config,
        master_key: MasterKey,
        certificates: Certificates,
        runtime: Handle,
    ) -> Self {
        let bundles = Bundles::new(&config.passes);
        Self(Arc::new(Parts {
            db,
            clock,
            config,
            master_key,
            signers: Signers::new(certificates),
            templates: Templates::default(),
            keys: RecentKeys::default(),
            voices: Voices::default(),
            code_keys: KnownKeys::default(),
            rules: ReadyRules::default(),
            bundles,
            reads: Reads::default(),
            previews: Previews::default(),
            uploads: Semaphore::new(UPLOADS_MAX),
            clicks: Semaphore::new(save_link::WAITING_MAX),
            strangers: Semaphore::new(1),
            receiving: Mutex::default(),
            brands: RwLock::default(),
            changed: Notify::new(),
            queued: watch::Sender::new(0),
            sightings: Sightings::default(),
            pushes: Pushes::default(),
            issuers: Issuers::default(),
            projects: Projects::default(),
            rolled: Notify::new(),
            imported: Notify::new(),
            runtime,
            tasks: TaskTracker::new(),
        }))
    }

    /// Something is to be told: nobody of this process waits for a poll.
    pub fn wake_dispatchers(&self) {
        self.queued.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Runs work to its end, whatever becomes of the caller: actix drops a handler whose client resets the connection,
    /// and a transaction must not be dropped halfway.
    pub async fn run<T, Work, Task>(&self, work: Work) -> Result<T, Problem>
    where
        T: Send + 'static,
        Work: FnOnce(App) -> Task,
        Task: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        self.spawn(work(self.clone())).await.map_err(Problem::internal)?
    }

    /// A task of the main runtime that [`App::finish`] waits for.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.tasks.spawn_on(task, &self.runtime)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Problem> {
        Ok(installation::ping(&mut self.db.read().await?.conn()).await?)
    }

    /// Waits for what runs. Whoever calls it has stopped the server and the workers, so nothing new begins.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub fn running_tasks(&self) -> usize {
        self.tasks.len()
    }
}
