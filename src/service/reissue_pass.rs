//! Reissuing: a new serial, token and links for what a pass says, and the old one voided.

use crate::domain::ids::PassId;
use crate::domain::pass::Lane;
use crate::service::issue_pass::{Behind, FreshPass, MadeWith, card_number, insert, record};
use crate::service::loyalty::shown;
use crate::service::publish::render;
use crate::service::{App, Problem, notices, templates as ready_templates};
use crate::store::brands::Brand;
use crate::store::passes::{self, Pass};
use crate::store::{coupons, customers, members, programs, publication, templates};

/// The successor of a pass; asking again answers the same one.
pub async fn reissue(app: &App, brand: &Brand, old: PassId) -> Result<Pass, Problem> {
    let missing = || Problem::NotFound { what: "pass" };
    // Ready before the transaction begins: inside it, no second connection is asked for.
    let (template, made_with) = {
        let mut reader = app.db.read().await?;
        let sources = publication::load_sources(&mut reader.conn(), brand.id, &[old]).await?;
        let source = sources.into_iter().next().ok_or_else(missing)?;
        let template = templates::find(&mut reader.conn(), brand.id, source.template_id).await?.ok_or_else(missing)?;
        // The version of the old one, wherever a roll-out is; and who signed up is not asked again.
        let (template_version, signed_up_at) = (source.template_version, source.signed_up_at);
        let is_live = template_version == template.live_version;
        let wanted_version = if is_live { 0 } else { template_version };
        (template, MadeWith { template_version, wanted_version, signed_up_at })
    };
    let version = ready_templates::load(app, brand.id, template.id, made_with.template_version).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let successor = PassId::new(app.clock.new_id());
    // The coupon before the pass, as tills lock them.
    coupons::move_pass(&mut tx.conn(), brand.id, old, successor).await?;
    let is_first = passes::set_reissued(&mut tx.conn(), brand.id, old, successor, now).await?;
    // Read after the row is ours: a change that was acknowledged a moment ago is in it.
    let old = passes::find(&mut tx.conn(), brand.id, old).await?.ok_or_else(missing)?;
    if !is_first {
        let successor = old.reissued_as.ok_or_else(missing)?;
        return passes::find(&mut tx.conn(), brand.id, successor).await?.ok_or_else(missing);
    }
    let program = programs::find(&mut tx.conn(), brand.id, old.program_id).await?.ok_or_else(missing)?;
    let customer = customers::find(&mut tx.conn(), brand.id, old.customer_id).await?.ok_or_else(missing)?;
    let ensured =
        members::ensure(&mut tx.conn(), brand.id, old.program_id, old.customer_id, old.member_id, now).await?;
    let card_number = card_number(&mut tx.conn(), brand, customer.id).await?;
    let fresh = FreshPass {
        template: &template,
        program: old.program_id,
        customer: old.customer_id,
        member: old.member_id,
        // Whoever repeats the order is answered with the pass that is good.
        external_id: old.external_id.clone(),
        order_hash: old.order_hash.clone(),
        data: old.data.clone(),
    };
    let pass = Pass { id: successor, ..fresh.make(app, brand, now) };
    let member_since = ensured.1;
    let behind =
        Behind { template: &template, program: &program, customer: &customer, card_number, member_since, made_with };
    let mut source = behind.source(&pass);
    shown::fill(app, &mut tx.conn(), brand.id, std::slice::from_mut(&mut source)).await?;
    let mut rendered = render(app, brand, &source, &version)?;
    // The same card under another number: nobody is greeted again.
    let told = rendered.notice.take().map(|notice| notices::Change::of_new(&pass, notice, Lane::Interactive));
    let told = told.map(|change| notices::Change { is_new: false, ..change });
    notices::queue(app, &mut tx.conn(), brand.id, told.into_iter().collect()).await?;
    passes::release_external_id(&mut tx.conn(), brand.id, old.id).await?;
    record(app, &mut tx.conn(), brand, "pass.voided", &old).await?;
    record(app, &mut tx.conn(), brand, "pass.reissued", &pass).await?;
    if !insert(app, &mut tx.conn(), brand, &pass, made_with, rendered).await? {
        return Err(Problem::ExternalIdTaken);
    }
    tx.commit().await?;
    app.changed.notify_one();
    Ok(pass)
}
