//! Looking at wallets.

use crate::domain::ids::{BrandId, CustomerId, WalletId};
use crate::service::loyalty::book::Book;
use crate::service::loyalty::place::Place;
use crate::service::loyalty::rules;
use crate::service::till::scan::{ShownMember, shown};
use crate::service::{App, Problem};
use crate::store::entries::{self, KeptEntry};
use crate::store::{members, wallets};

/// A customer's memberships as they stand at this moment.
pub async fn of_customer(app: &App, brand: BrandId, customer: CustomerId) -> Result<Vec<ShownMember>, Problem> {
    let mut reader = app.db.read().await?;
    let book = Book::peek(app, &mut reader.conn(), brand, customer, Place::default()).await?;
    Ok(book.members.iter().map(|member| shown(member, book.now)).collect())
}

/// A wallet's places after the point, and its entries after `after`, oldest first.
pub async fn entries(
    app: &App,
    brand: BrandId,
    wallet: WalletId,
    after: i64,
    limit: i64,
) -> Result<(u8, Vec<KeptEntry>), Problem> {
    let mut reader = app.db.read().await?;
    let found = wallets::find(&mut reader.conn(), brand, wallet).await?;
    let found = found.ok_or(Problem::NotFound { what: "wallet" })?;
    let member = members::list(&mut reader.conn(), brand, &[found.member]).await?;
    let member = member.into_iter().next().ok_or(Problem::NotFound { what: "wallet" })?;
    let (version, zone) = (member.rules_version, member.time_zone);
    let rules = rules::load(app, &mut reader.conn(), brand, member.program, version, &zone).await?;
    let kind = rules.kinds.iter().find(|kind| kind.id == found.wallet_type);
    let scale = kind.map_or(0, |kind| kind.rules.scale);
    Ok((scale, entries::list(&mut reader.conn(), brand, wallet, after, limit).await?))
}
