//! What is seen of phones on the way: who asked what changed, and which version of a pass was fetched. Evidence for people,
//! kept in memory for a moment and written in batches; what is lost when a process dies was never promised.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::domain::ids::{BrandId, PassId};
use crate::domain::secret::Secret;
use crate::service::{App, Problem};
use crate::store::pushes;

/// Sightings that wait to be written at most, and that one transaction writes.
const WAITING_MAX: usize = 20_000;
const BATCH: usize = 200;

/// One thing that was seen.
#[derive(Debug)]
pub enum Sight {
    /// A device asked what changed, and was told something or nothing.
    Asked { pass_type: String, library_id: Secret<String> },
    /// Somebody with the pass's token fetched it, or has it already.
    Fetched { pass: PassId, tag_n: i64 },
}

#[derive(Default)]
pub struct Sightings(Mutex<Vec<(BrandId, DateTime<Utc>, Sight)>>);

impl App {
    pub(super) fn saw(&self, brand: BrandId, sight: Sight) {
        let mut waiting = self.sightings.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push((brand, self.clock.now(), sight));
        } else {
            metrics::counter!("passarela_sightings_dropped_total").increment(1);
        }
    }
}

/// Writes down what was seen so far. What cannot be written now is lost: newer sightings come.
pub async fn write_down(app: &App) -> Result<(), Problem> {
    let mut seen = std::mem::take(&mut *app.sightings.0.lock().unwrap_or_else(PoisonError::into_inner));
    // Devices before registrations, each in its order, as others lock them.
    seen.sort_by_key(|(brand, _, sight)| match sight {
        Sight::Asked { library_id, .. } => (*brand, 0, library_id.reveal().clone(), PassId::FIRST),
        Sight::Fetched { pass, .. } => (*brand, 1, String::new(), *pass),
    });
    for batch in seen.chunks(BATCH) {
        let mut tx = app.db.begin().await?;
        for (brand, at, sight) in batch {
            match sight {
                Sight::Asked { pass_type, library_id } => {
                    pushes::note_asked(&mut tx.conn(), *brand, pass_type, library_id, *at).await?;
                }
                Sight::Fetched { pass, tag_n } => {
                    pushes::note_fetched(&mut tx.conn(), *brand, *pass, *tag_n, *at).await?;
                }
            }
        }
        tx.commit().await?;
    }
    Ok(())
}
