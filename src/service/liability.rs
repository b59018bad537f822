//! What a program owes its members, and how much of what it gave was never used.

use crate::domain::ids::{BrandId, ProgramId};
use crate::domain::quantity;
use crate::service::loyalty::rules;
use crate::service::{App, Problem};
use crate::store::wallets::{self, TypeSums};

/// Of one kind of wallet; units as the API writes them.
#[derive(Debug, Clone)]
pub struct Liability {
    pub key: String,
    pub name: String,
    pub wallets: i64,
    /// What may be spent, now or when a basket lets go of it.
    pub outstanding: String,
    pub pending: String,
    pub debt: String,
    pub spent: String,
    pub expired: String,
    pub cancelled: String,
    /// Of what came to an end, how much expired; `None`: nothing did yet.
    pub breakage: Option<f64>,
    /// What `outstanding` would pay, in minor units and their currency; `None`: the kind has no worth.
    pub worth: Option<(i64, String)>,
    /// The same less what is likely never to be used, if breakage stays what it is.
    pub expected: Option<(i64, String)>,
}

/// Every kind of wallet of a program, those that nobody has included.
pub async fn report(app: &App, brand: BrandId, program: ProgramId) -> Result<Vec<Liability>, Problem> {
    let mut reader = app.db.read().await?;
    let rules = rules::current(app, &mut reader.conn(), brand, program).await?;
    let sums = wallets::sum_by_type(&mut reader.conn(), brand, program).await?;
    drop(reader);
    let of_kind = |kind: &rules::Kind| {
        let nothing = TypeSums {
            wallet_type_id: kind.id,
            wallets: 0,
            active: 0,
            pending: 0,
            held: 0,
            spent: 0,
            expired: 0,
            cancelled: 0,
            debt: 0,
        };
        let sums = sums.iter().find(|sums| sums.wallet_type_id == kind.id).cloned().unwrap_or(nothing);
        let text = |units: i64| quantity::text(units, kind.rules.scale);
        let outstanding = sums.active + sums.held;
        let ended = sums.spent + sums.expired;
        let breakage = (ended > 0).then(|| sums.expired as f64 / ended as f64);
        let worth = kind.rules.pays(outstanding).map(|(minor, currency)| (minor, currency.code().to_owned()));
        let expected = worth.clone().map(|(minor, currency)| {
            let never = i128::from(minor) * i128::from(sums.expired) / i128::from(ended.max(1));
            (minor - i64::try_from(never).unwrap_or(0), currency)
        });
        Liability {
            key: kind.key.clone(),
            name: kind.name.clone(),
            wallets: sums.wallets,
            outstanding: text(outstanding),
            pending: text(sums.pending),
            debt: text(sums.debt),
            spent: text(sums.spent),
            expired: text(sums.expired),
            cancelled: text(sums.cancelled),
            breakage,
            worth,
            expected,
        }
    };
    Ok(rules.kinds.iter().map(of_kind).collect())
}
