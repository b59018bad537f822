//! Records what happened, in the transaction that made it happen.

use serde_json::Value;
use uuid::Uuid;

use crate::domain::ids::{BrandId, CustomerId, EventId, PassId};
use crate::service::{App, Problem};
use crate::store::Conn;
use crate::store::events::{self, NewEvent};

/// What an event is about. The subject is the object whose `changed_since` names it.
#[derive(Debug, Clone, Copy, Default)]
pub struct About {
    pub customer: Option<CustomerId>,
    pub pass: Option<PassId>,
    pub subject: Uuid,
}

/// `kind` begins with the subject's kind: `pass.issued`. `data` holds ids and words, never personal data.
pub async fn record(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    kind: &'static str,
    about: About,
    data: Value,
) -> Result<(), Problem> {
    Ok(events::insert(conn, brand, &event(app, kind, about, data)).await?)
}

/// An event of this moment, to be recorded with others.
pub fn event(app: &App, kind: &'static str, about: About, data: Value) -> NewEvent {
    NewEvent {
        id: EventId::new(app.clock.new_id()),
        kind,
        customer: about.customer,
        pass: about.pass,
        subject: about.subject,
        data,
        occurred_at: app.clock.now(),
    }
}
