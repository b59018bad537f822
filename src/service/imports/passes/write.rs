//! A plan becomes rows, if what it was made from is still so.

use std::collections::HashMap;

use serde_json::json;

use crate::service::imports::passes::plan::{Change, Plan};
use crate::service::imports::people::{self, Person};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem, notices};
use crate::store::brands::{self, Brand};
use crate::store::events::NewEvent;
use crate::store::imports::{self, ChangedPass, NewPass};
use crate::store::passes::Pass;
use crate::store::{Conn, events};

/// Writes a plan; `false`: what it was made from has changed.
pub async fn write(app: &App, conn: &mut Conn<'_>, brand: &Brand, plan: &mut Plan) -> Result<bool, Problem> {
    let now = app.clock.now();
    let held = imports::hold_designs(conn, brand.id, &plan.templates, &plan.programs).await?;
    let people: Vec<&Person> = plan.people.iter().collect();
    if !held
        || !people::hold(conn, brand.id, &people).await?
        || !people::write(app, conn, brand.id, &people, now).await?
    {
        return Ok(false);
    }
    if imports::insert_members(conn, brand.id, &plan.members).await? < plan.members.len() {
        return Ok(false);
    }
    events::insert_many(conn, brand.id, &told(app, plan)).await?;
    let changed = plan.changed.iter().map(|Change { pass, data, order_hash, token_hash }| ChangedPass {
        id: pass.id,
        seen_change_no: pass.change_no,
        data,
        order_hash,
        token_hash: token_hash.as_ref().map(<[u8; 32]>::as_slice),
    });
    let changed: Vec<ChangedPass<'_>> = changed.collect();
    people::lock_passes(conn, brand.id, &people, &changed).await?;
    if imports::set_passes(conn, brand.id, &changed, now).await? < changed.len() {
        return Ok(false);
    }
    people::touch(conn, brand.id, &people, now).await?;
    notices::queue(app, conn, brand.id, std::mem::take(&mut plan.notices)).await?;
    // The counter after every row that somebody else may hold.
    let mut of_type: HashMap<String, i64> = HashMap::new();
    for (pass, _) in &plan.created {
        *of_type.entry(pass.pass_type.clone()).or_default() += 1;
    }
    let mut pass_types: Vec<_> = of_type.into_iter().collect();
    pass_types.sort_unstable();
    for (pass_type, count) in pass_types {
        let last = brands::take_tags(conn, brand.id, &pass_type, count).await?;
        let created = plan.created.iter_mut().filter(|(pass, _)| pass.pass_type == pass_type);
        for ((_, first), tag_n) in created.zip(last.n - count + 1..) {
            first.tag_n = tag_n;
        }
    }
    let new: Vec<NewPass<'_>> = plan.created.iter().map(|(pass, first)| NewPass { pass, first }).collect();
    Ok(imports::insert_passes(conn, brand.id, &new).await? == new.len())
}

fn told(app: &App, plan: &Plan) -> Vec<NewEvent> {
    let event = |kind, pass: &Pass, data| {
        let about = About { customer: Some(pass.customer_id), pass: Some(pass.id), subject: pass.id.uuid() };
        timeline::event(app, kind, about, data)
    };
    let created = plan.created.iter().map(|(pass, _)| {
        let data = json!({ "pass_id": pass.id, "program_id": pass.program_id, "template_id": pass.template_id });
        event("pass.issued", pass, data)
    });
    let changed = plan.changed.iter().filter(|change| change.data != *change.pass.data.reveal()).map(|change| {
        event("pass.changed", &change.pass, json!({ "pass_id": change.pass.id, "status": change.pass.status }))
    });
    created.chain(changed).collect()
}
