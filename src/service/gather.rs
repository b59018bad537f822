//! Reads that arrive together are one statement. Under load a batch costs the database little more than a single read
//! does; a read that comes alone goes at once. Every read begins after it was asked for: nothing is remembered. A
//! statement is about one brand, like every other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::domain::ids::BrandId;
use crate::service::{App, Problem};
use crate::store::Conn;

/// Reads that may wait; the next one is told that we are busy.
const WAITING_MAX: usize = 4_096;

/// Reads of one statement.
const BATCH_MAX: usize = 64;

/// Statements of one kind at the same time.
const STATEMENTS: usize = 2;

/// One kind of read: what is asked for and how it is answered.
pub trait Lookup: 'static {
    type Key: Clone + Send + Sync + 'static;
    type Found: Send + 'static;

    /// One answer for each key, in their order.
    fn read(
        conn: &mut Conn<'_>,
        brand: BrandId,
        keys: &[Self::Key],
    ) -> impl Future<Output = sqlx::Result<Vec<Self::Found>>> + Send;
}

struct Ask<L: Lookup> {
    brand: BrandId,
    key: L::Key,
    answer: oneshot::Sender<Result<L::Found, Problem>>,
}

struct Queue<L: Lookup> {
    waiting: Vec<Ask<L>>,
    /// Tasks that empty `waiting`.
    running: usize,
}

/// Takes reads of one kind.
pub struct Gather<L: Lookup>(Arc<Mutex<Queue<L>>>);

impl<L: Lookup> Default for Gather<L> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Queue { waiting: Vec::new(), running: 0 })))
    }
}

/// One of [`STATEMENTS`]. A task that panics gives it back too.
struct Turn<L: Lookup> {
    queue: Arc<Mutex<Queue<L>>>,
    is_over: bool,
}

impl<L: Lookup> Turn<L> {
    /// The oldest that waits, and what waits for the same brand. `None`: nothing waits, and the turn is over; both are
    /// seen under one lock, or an ask that came in between would find no task and start none.
    fn next_batch(&mut self) -> Option<(BrandId, Vec<Ask<L>>)> {
        let mut queue = lock(&self.queue);
        let Some(brand) = queue.waiting.first().map(|ask| ask.brand) else {
            queue.running -= 1;
            self.is_over = true;
            return None;
        };
        Some((brand, queue.waiting.extract_if(.., |ask| ask.brand == brand).take(BATCH_MAX).collect()))
    }
}

impl<L: Lookup> Drop for Turn<L> {
    fn drop(&mut self) {
        if !self.is_over {
            lock(&self.queue).running -= 1;
        }
    }
}

fn lock<L: Lookup>(queue: &Mutex<Queue<L>>) -> MutexGuard<'_, Queue<L>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<L: Lookup> Gather<L> {
    /// Reads in a task of the main runtime, so it may be called from anywhere.
    pub async fn read(&self, app: &App, brand: BrandId, key: L::Key) -> Result<L::Found, Problem> {
        let (answer, answered) = oneshot::channel();
        if self.push(Ask { brand, key, answer })? {
            let (mut turn, reader) = (Turn { queue: Arc::clone(&self.0), is_over: false }, app.clone());
            app.spawn(async move {
                while let Some((brand, batch)) = turn.next_batch() {
                    answer_all(&reader, brand, batch).await;
                }
            });
        }
        answered.await.map_err(Problem::internal)?
    }

    /// Whether a task is wanted to read it.
    fn push(&self, ask: Ask<L>) -> Result<bool, Problem> {
        let mut queue = lock(&self.0);
        if queue.waiting.len() >= WAITING_MAX {
            return Err(Problem::Busy);
        }
        queue.waiting.push(ask);
        let is_wanted = queue.running < STATEMENTS;
        queue.running += usize::from(is_wanted);
        Ok(is_wanted)
    }
}

async fn answer_all<L: Lookup>(app: &App, brand: BrandId, batch: Vec<Ask<L>>) {
    let (mut keys, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|ask| (ask.key, ask.answer)).unzip();
    // Few sizes, so that a connection's prepared statements serve again.
    if let Some(last) = keys.last().cloned() {
        keys.resize(keys.len().next_power_of_two(), last);
    }
    match read::<L>(app, brand, &keys).await {
        Ok(found) => answers.into_iter().zip(found).for_each(|(answer, found)| drop(answer.send(Ok(found)))),
        // What one key does must not be another's trouble.
        Err(Problem::Internal(_)) if answers.len() > 1 => {
            for (answer, key) in answers.into_iter().zip(&keys) {
                drop(answer.send(read_one::<L>(app, brand, key).await));
            }
        }
        Err(problem) => {
            let first = std::iter::once(problem);
            let problems = first.chain(std::iter::repeat_with(|| Problem::Unavailable(sqlx::Error::PoolTimedOut)));
            answers.into_iter().zip(problems).for_each(|(answer, problem)| drop(answer.send(Err(problem))));
        }
    }
}

async fn read<L: Lookup>(app: &App, brand: BrandId, keys: &[L::Key]) -> Result<Vec<L::Found>, Problem> {
    Ok(L::read(&mut app.db.read().await?.conn(), brand, keys).await?)
}

async fn read_one<L: Lookup>(app: &App, brand: BrandId, key: &L::Key) -> Result<L::Found, Problem> {
    let found = read::<L>(app, brand, std::slice::from_ref(key)).await?;
    found.into_iter().next().ok_or_else(|| Problem::internal("a read without an answer"))
}
