//! Kinds of wallets, wallets with their lots and entries, offers, coupons, and what tills did.

use chrono::{DateTime, TimeDelta, Utc};
use passarela::domain::ids::{
    AuditId, BrandId, ConflictId, CouponId, EarningRuleId, JobId, KeyId, OfferId, OpeningId, OrderId, PassId,
    ProgramId, QuoteId, RedemptionId, ReturnId, StoreId, WalletId, WalletTypeId,
};
use passarela::domain::ledger::{Activation, Dates, EntryKind, Hold, Lot, Movement, Slice, State, Totals};
use passarela::domain::locale::Locale;
use passarela::domain::loyalty::counter::Counter;
use passarela::domain::loyalty::tier::Standing;
use passarela::domain::secret::Personal;
use passarela::store::audit::{self, Audited};
use passarela::store::books;
use passarela::store::coupons::{self, Coupon, CouponState};
use passarela::store::entries::{self, Anchor, Head, KeptEntry};
use passarela::store::members::{self, Did};
use passarela::store::offers::{self, Offer, OfferState};
use passarela::store::openings::{self, Opening};
use passarela::store::orders::{self, Order, Return};
use passarela::store::program_rules::{self, EarningRule, Untold, WalletType};
use passarela::store::redemptions::{self, Conflict, Quote, Redemption, RedemptionState};
use passarela::store::stores::{self, Store};
use passarela::store::wallets::{self, KeptWallet};
use serde_json::{Value, json};
use sqlx::types::Json;

use crate::on_both_engines;
use crate::store::world::{Tenant, World, new_id};

fn wallet_type(program: ProgramId, key: &str, now: DateTime<Utc>) -> WalletType {
    WalletType {
        id: WalletTypeId::new(new_id()),
        program_id: program,
        key: key.to_owned(),
        name: "Pontos".to_owned(),
        spec: Json(json!({ "unit": 1 })),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

async fn with_kind(w: &World, tenant: &Tenant) -> WalletType {
    let kind = wallet_type(tenant.program, "points", w.now);
    assert!(w.write(async |c| program_rules::insert_wallet_type(c, tenant.brand, &kind).await).await);
    kind
}

fn wallet(w: &World, tenant: &Tenant, kind: &WalletType) -> KeptWallet {
    KeptWallet {
        id: WalletId::new(new_id()),
        member: tenant.member,
        wallet_type: kind.id,
        totals: Totals { active: 5, held: 2, ..Totals::default() },
        head_no: 2,
        head_link: vec![7; 32],
        last_lot: 1,
        earned: Counter { since: w.now, count: 7 },
        spent: Counter { since: w.now, count: 2 },
        due_at: Some(w.after(60)),
        created_at: w.now,
    }
}

async fn with_wallet(w: &World, tenant: &Tenant) -> KeptWallet {
    let kind = with_kind(w, tenant).await;
    let wallet = wallet(w, tenant, &kind);
    w.write(async |c| books::write(c, tenant.brand, std::slice::from_ref(&wallet), &[], &[], &[]).await).await;
    wallet
}

fn entry(w: &World, wallet: WalletId, no: i64, reverses: Option<i64>) -> KeptEntry {
    let movement = Movement {
        slices: vec![Slice { lot: 1, from: None, to: State::Active, units: 7 }],
        dates: vec![Dates { lot: 1, starts_at: w.now, activation: Activation::At(w.after(9)), expires_at: None }],
        reverses,
        ..Movement::default()
    };
    KeptEntry {
        wallet,
        no,
        kind: EntryKind::Earned,
        units: 7,
        balance: 7 * no,
        movement,
        source: Some(OrderId::new(uuid::Uuid::from_u128(9)).uuid()),
        rule: None,
        reason: Some(Personal::new("because".to_owned())),
        store: None,
        terminal: Some("caixa-1".to_owned()),
        employee: None,
        occurred_at: w.now,
        created_at: w.after(1),
        link: vec![no as u8; 32],
    }
}

fn offer(program: ProgramId, external_id: &str, now: DateTime<Utc>) -> Offer {
    Offer {
        id: OfferId::new(new_id()),
        program_id: program,
        external_id: Some(external_id.to_owned()),
        name: "10 %".to_owned(),
        state: OfferState::Running,
        spec: Json(json!({})),
        uses_left: Some(1),
        stock_left: None,
        budget_left_minor: Some(500),
        version: 1,
        created_at: now,
        updated_at: now,
        stopped_at: None,
    }
}

async fn with_offer(w: &World, tenant: &Tenant) -> Offer {
    let offer = offer(tenant.program, "o1", w.now);
    assert!(w.write(async |c| offers::insert(c, tenant.brand, &offer).await).await);
    offer
}

fn coupon(w: &World, tenant: &Tenant, offer: OfferId, external_id: &str) -> Coupon {
    Coupon {
        id: CouponId::new(new_id()),
        offer_id: offer,
        customer_id: Some(tenant.customer),
        external_id: Some(external_id.to_owned()),
        code_id: new_id().as_bytes()[4..].to_vec(),
        typed: format!("TYPED{external_id}"),
        state: CouponState::Issued,
        starts_at: w.now,
        expires_at: Some(w.after(100)),
        held_until: None,
        held_by: None,
        redemption_id: None,
        redeemed_at: None,
        batch_id: None,
        is_offline: false,
        bought_by: None,
        unshown_since: None,
        redeemed_in: None,
        pass_id: None,
        created_at: w.now,
    }
}

fn order(w: &World, external_id: &str) -> Order {
    Order {
        id: OrderId::new(new_id()),
        place: "online".to_owned(),
        external_id: external_id.to_owned(),
        body_hash: vec![1; 32],
        customer_id: None,
        channel: None,
        store_id: None,
        terminal: None,
        employee: Some(Personal::new("Rui".to_owned())),
        business_date: None,
        placed_at: w.now,
        currency: "BRL".to_owned(),
        total_minor: 900,
        paid_minor: 900,
        returned_minor: 0,
        redemption_id: None,
        has_effects: true,
        lines: Json(json!([])),
        earnings: Json(json!([])),
        created_at: w.now,
    }
}

on_both_engines! {
    async fn a_store_is_found_by_its_ids(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let new = |external_id: &str| Store { id: StoreId::new(new_id()), external_id: Some(external_id.to_owned()), name: "Loja".to_owned(),
            locale: Locale::PtBr, created_at: w.now };
        let store = new("s1");
        assert!(w.write(async |c| stores::insert(c, one, &store).await).await);
        assert!(!w.write(async |c| stores::insert(c, one, &new("s1")).await).await);
        assert_eq!(w.read(async |c| stores::find(c, one, store.id).await).await, Some(store.clone()));
        assert_eq!(w.read(async |c| stores::find(c, two, store.id).await).await, None);
        assert_eq!(w.read(async |c| stores::find_by_external_id(c, one, "s1").await).await, Some(store.clone()));
        assert_eq!(w.read(async |c| stores::find_by_external_id(c, two, "s1").await).await, None);
        assert_eq!(w.read(async |c| stores::list(c, one, None, 9).await).await.len(), 1);
        assert!(w.read(async |c| stores::list(c, one, Some(store.id), 9).await).await.is_empty());
    }

    async fn rules_of_a_program_are_kept_as_they_were_given(engine) {
        let w = World::new(engine).await;
        let (one, two, program) = (w.one.brand, w.two.brand, w.one.program);
        assert!(w.write(async |c| program_rules::touch(c, one, program).await).await);
        assert!(!w.write(async |c| program_rules::touch(c, two, program).await).await);
        let tiers = json!({ "tiers": [] });
        assert!(w.write(async |c| program_rules::set_tiers(c, one, program, Some(&tiers)).await).await);
        assert!(!w.write(async |c| program_rules::set_tiers(c, two, program, None).await).await);
        let found = w.read(async |c| program_rules::find_tiers(c, one, program).await).await.unwrap();
        assert_eq!((found.0, found.2), (1, Some(tiers)));
        assert!(w.read(async |c| program_rules::find_tiers(c, two, program).await).await.is_none());

        let mut kind = with_kind(&w, &w.one).await;
        assert!(!w.write(async |c| program_rules::insert_wallet_type(c, one, &wallet_type(program, "points", w.now)).await).await);
        kind.name = "Estrelas".to_owned();
        assert!(w.write(async |c| program_rules::update_wallet_type(c, one, &kind).await).await);
        assert!(!w.write(async |c| program_rules::update_wallet_type(c, one, &kind).await).await, "it is at another version");
        let found = w.read(async |c| program_rules::find_wallet_type(c, one, kind.id).await).await.unwrap();
        assert_eq!((found.name.as_str(), found.version), ("Estrelas", 2));
        assert!(w.read(async |c| program_rules::find_wallet_type(c, two, kind.id).await).await.is_none());
        assert_eq!(w.read(async |c| program_rules::list_wallet_types(c, one, program).await).await.len(), 1);

        let mut rule = EarningRule { id: EarningRuleId::new(new_id()), program_id: program, wallet_type_id: kind.id, name: "r".to_owned(),
            spec: Json(json!({})), is_active: true, version: 1, created_at: w.now, updated_at: w.now };
        w.write(async |c| program_rules::insert_earning_rule(c, one, &rule).await).await;
        rule.is_active = false;
        assert!(w.write(async |c| program_rules::update_earning_rule(c, one, &rule).await).await);
        assert!(!w.write(async |c| program_rules::update_earning_rule(c, two, &rule).await).await);
        let found = w.read(async |c| program_rules::find_earning_rule(c, one, rule.id).await).await.unwrap();
        assert_eq!((found.is_active, found.version), (false, 2));
        assert_eq!(w.read(async |c| program_rules::list_earning_rules(c, one, program).await).await.len(), 1);
        assert!(w.read(async |c| program_rules::list_earning_rules(c, two, program).await).await.is_empty());
    }

    async fn members_stand_somewhere_and_are_looked_at_when_it_is_time(engine) {
        let w = World::new(engine).await;
        let (one, two, customer, member) = (w.one.brand, w.two.brand, w.one.customer, w.one.member);
        let standing = Standing { tier: "ouro".to_owned(), since: w.now, until: Some(w.after(50)), lost_at: None };
        w.write(async |c| members::set_standing(c, one, member, &standing, 600, Some(w.after(50))).await).await;
        let held = w.write(async |c| members::lock(c, one, customer).await).await;
        assert_eq!((held[0].standing.clone(), held[0].tier_value, held[0].joined), (Some(standing.clone()), 600, held[0].joined));
        assert!(w.read(async |c| members::list_of(c, two, customer).await).await.is_empty());
        let listed = w.read(async |c| members::list_of(c, one, customer).await).await;
        assert_eq!(listed[0].id, member);
        let by_id = w.read(async |c| members::list(c, one, &[member]).await).await;
        assert_eq!((by_id[0].customer, by_id[0].tier_is_due(w.after(50)), by_id[0].tier_is_due(w.now)), (customer, true, false));
        assert!(w.read(async |c| members::list(c, two, &[member]).await).await.is_empty());
        assert_eq!(w.read(async |c| wallets::next_brand_due(c, None, w.now).await).await, None);
        assert_eq!(w.read(async |c| wallets::next_brand_due(c, None, w.after(50)).await).await, Some(one));
        assert_eq!(w.read(async |c| wallets::list_due(c, one, w.after(50), 9).await).await, [customer]);
        with_wallet(&w, &w.one).await;
        assert_eq!(w.read(async |c| wallets::list_due(c, one, w.after(60), 9).await).await, [customer], "once");
        assert!(w.read(async |c| wallets::list_due(c, two, w.after(60), 9).await).await.is_empty());
        w.write(async |c| wallets::put_off(c, two, customer, w.after(60), w.after(90)).await).await;
        assert_eq!(w.read(async |c| wallets::list_due(c, one, w.after(60), 9).await).await, [customer]);
        w.write(async |c| wallets::put_off(c, one, customer, w.after(60), w.after(90)).await).await;
        assert!(w.read(async |c| wallets::list_due(c, one, w.after(60), 9).await).await.is_empty());
        assert_eq!(w.read(async |c| wallets::list_due(c, one, w.after(90), 9).await).await, [customer]);
        let kind = WalletTypeId::new(new_id());
        for _ in 0..2 {
            let did = [(kind, Did { earned: 5, spent_minor: 0, visits: 0 }), (WalletTypeId::FIRST, Did { earned: 0, spent_minor: 900, visits: 1 })];
            w.write(async |c| members::add_day(c, one, member, 20_000, &did).await).await;
        }
        let sum = async |kind, since| w.read(async |c| members::sum_days(c, one, member, kind, since).await).await;
        assert_eq!(sum(kind, 20_000).await, Did { earned: 10, spent_minor: 0, visits: 0 });
        assert_eq!(sum(WalletTypeId::FIRST, 0).await, Did { earned: 0, spent_minor: 1_800, visits: 2 });
        assert_eq!(sum(kind, 20_001).await, Did::default());
    }

    async fn a_wallet_is_what_was_saved_of_it(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let mut kept = with_wallet(&w, &w.one).await;
        assert_eq!(w.read(async |c| wallets::find(c, one, kept.id).await).await, Some(kept.clone()));
        assert_eq!(w.read(async |c| wallets::find(c, two, kept.id).await).await, None);
        (kept.totals.active, kept.totals.debt, kept.head_no, kept.due_at) = (0, 3, 3, None);
        w.write(async |c| books::write(c, one, std::slice::from_ref(&kept), &[], &[], &[]).await).await;
        assert_eq!(w.read(async |c| wallets::list_of(c, one, &[w.one.member]).await).await, [(kept.clone(), vec![])]);
        assert_eq!(w.read(async |c| wallets::list(c, one, None, 9).await).await, [kept.clone()]);
        assert!(w.read(async |c| wallets::list(c, one, Some(kept.id), 9).await).await.is_empty());

        // Told when its kind closes, it is due then; of another brand, or empty, it is not.
        let kind = kept.wallet_type;
        let tell = async |brand: BrandId, at| w.write(async |c| wallets::tell_kind(c, brand, kind, WalletId::FIRST, w.after(at), 9).await).await;
        assert_eq!((tell(one, 80).await, tell(two, 80).await), (Some(kept.id), None));
        assert_eq!(w.read(async |c| wallets::find(c, one, kept.id).await).await.unwrap().due_at, None, "it is empty");
        kept.totals.active = 5;
        w.write(async |c| books::write(c, one, std::slice::from_ref(&kept), &[], &[], &[]).await).await;
        let due = async || w.read(async |c| wallets::find(c, one, kept.id).await).await.unwrap().due_at;
        tell(one, 80).await;
        tell(one, 90).await;
        assert_eq!(due().await, Some(w.after(80)), "no later");
        assert!(w.read(async |c| program_rules::find_untold(c).await).await.is_none());
        w.write(async |c| program_rules::set_told(c, two, kind, Some(WalletId::FIRST)).await).await;
        assert!(w.read(async |c| program_rules::find_untold(c).await).await.is_none());
        w.write(async |c| program_rules::set_told(c, one, kind, Some(kept.id)).await).await;
        let untold = w.read(async |c| program_rules::find_untold(c).await).await.unwrap();
        assert_eq!((untold.brand_id, untold.wallet_type_id, untold.told_up_to), (one, kind, kept.id));
        let stale = Untold { version: untold.version + 1, ..untold.clone() };
        assert!(!w.write(async |c| program_rules::go_on_telling(c, &stale, None).await).await);
        assert!(w.write(async |c| program_rules::go_on_telling(c, &untold, None).await).await);
        assert!(!w.write(async |c| program_rules::go_on_telling(c, &untold, None).await).await, "somebody else did");
        assert!(w.read(async |c| program_rules::find_untold(c).await).await.is_none());
        kept.totals.active = 0;
        w.write(async |c| books::write(c, one, std::slice::from_ref(&kept), &[], &[], &[]).await).await;

        let sums = w.read(async |c| wallets::sum_by_type(c, one, w.one.program).await).await;
        assert_eq!((sums.len(), sums[0].wallet_type_id, sums[0].wallets, sums[0].debt), (1, kept.wallet_type, 1, 3));
        assert!(w.read(async |c| wallets::sum_by_type(c, two, w.one.program).await).await.is_empty());

        let dates = |lot: i64| Dates { lot, starts_at: w.now, activation: Activation::On { event: "delivered".to_owned(), cancel_at: Some(w.after(5)) }, expires_at: Some(w.after(9)) };
        let lots = [(kept.id, Lot::kept(dates(1), [1, 0, 0, 0, 0, 0])), (kept.id, Lot::kept(dates(2), [0, 0, 0, 4, 0, 0]))];
        w.write(async |c| books::write(c, one, &[], &lots, &[], &[]).await).await;
        let open = async |brand: BrandId| w.read(async |c| wallets::list_of(c, brand, &[w.one.member]).await).await;
        assert_eq!(open(one).await, [(kept.clone(), vec![lots[0].1.clone()])]);
        assert!(open(two).await.is_empty());
        assert_eq!(w.read(async |c| wallets::list_lots(c, one, kept.id, Some(&[2])).await).await, [lots[1].1.clone()]);
        assert_eq!(w.read(async |c| wallets::list_lots(c, one, kept.id, None).await).await.len(), 2);
        let over = [(kept.id, Lot::kept(dates(1), [0, 0, 0, 0, 0, 1]))];
        w.write(async |c| books::write(c, one, &[], &over, &[], &[]).await).await;
        assert_eq!(open(one).await, [(kept.clone(), vec![])]);

        let hold = Hold { no: 2, until: w.after(7), slices: vec![(1, 2), (2, 1)] };
        w.write(async |c| wallets::set_holds(c, one, kept.id, std::slice::from_ref(&hold)).await).await;
        assert_eq!(w.read(async |c| wallets::list_holds(c, one, &[kept.id]).await).await, [(kept.id, hold)]);
        assert!(w.read(async |c| wallets::list_holds(c, two, &[kept.id]).await).await.is_empty());
        w.write(async |c| wallets::set_holds(c, one, kept.id, &[]).await).await;
        assert!(w.read(async |c| wallets::list_holds(c, one, &[kept.id]).await).await.is_empty());
    }

    async fn entries_stay_and_anchors_hold_them(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let kept = with_wallet(&w, &w.one).await;
        let both = [entry(&w, kept.id, 1, None), entry(&w, kept.id, 2, Some(1))];
        w.write(async |c| books::write(c, one, &[], &[], &both, &[]).await).await;
        let found = w.read(async |c| entries::list(c, one, kept.id, 0, 9).await).await;
        assert_eq!(found.len(), 2);
        assert_eq!((&found[0].movement, &found[0].link, found[0].reason.as_ref().unwrap().reveal().as_str()), (&both[0].movement, &vec![1; 32], "because"));
        assert_eq!(w.read(async |c| entries::list(c, one, kept.id, 1, 9).await).await.len(), 1);
        assert!(w.read(async |c| entries::list(c, two, kept.id, 0, 9).await).await.is_empty());
        let source = both[0].source.unwrap();
        assert_eq!(w.read(async |c| entries::list_by_source(c, one, source).await).await.len(), 2);
        assert!(w.read(async |c| entries::list_by_source(c, two, source).await).await.is_empty());
        let reversing = w.read(async |c| entries::list_reversing(c, one, kept.id, &[1]).await).await;
        assert_eq!(reversing.iter().map(|entry| entry.no).collect::<Vec<_>>(), [2]);
        assert_eq!(w.read(async |c| entries::find_link(c, one, kept.id, 2).await).await, Some(vec![2; 32]));
        assert_eq!(w.read(async |c| entries::find_link(c, two, kept.id, 2).await).await, None);

        let heads = w.read(async |c| entries::list_unanchored(c, one, 9).await).await;
        assert_eq!(heads, [Head { wallet_id: kept.id, entry_no: 2, link: vec![7; 32] }]);
        assert_eq!(w.read(async |c| entries::next_brand_unanchored(c, None).await).await, Some(one));
        assert_eq!(w.read(async |c| entries::last_anchor(c, one).await).await, None);
        let anchor = Anchor { no: 1, heads: 1, link: vec![3; 32], created_at: w.now };
        assert!(w.write(async |c| entries::insert_anchor(c, one, &anchor, &heads).await).await);
        assert!(!w.write(async |c| entries::insert_anchor(c, one, &anchor, &heads).await).await, "somebody was first");
        assert!(w.read(async |c| entries::list_unanchored(c, one, 9).await).await.is_empty());
        assert_eq!(w.read(async |c| entries::next_brand_unanchored(c, None).await).await, None);
        assert_eq!(w.read(async |c| entries::last_anchor(c, one).await).await, Some(anchor.clone()));
        assert_eq!(w.read(async |c| entries::list_anchors(c, one, 0, 9).await).await, [anchor]);
        assert_eq!(w.read(async |c| entries::list_heads(c, one, 1).await).await, heads);
        assert!(w.read(async |c| entries::list_heads(c, two, 1).await).await.is_empty());
    }

    async fn what_is_left_of_an_offer_is_taken_once(engine) {
        let w = World::new(engine).await;
        let (one, two, customer) = (w.one.brand, w.two.brand, w.one.customer);
        let mut kept = with_offer(&w, &w.one).await;
        assert!(!w.write(async |c| offers::insert(c, one, &offer(w.one.program, "o1", w.now)).await).await);
        assert_eq!(w.read(async |c| offers::find_by_external_id(c, one, "o1").await).await.unwrap().id, kept.id);
        assert!(w.read(async |c| offers::find_by_external_id(c, two, "o1").await).await.is_none());
        assert_eq!(w.read(async |c| offers::list(c, one, Some(w.one.program), None, 9).await).await.len(), 1);
        assert!(w.read(async |c| offers::list(c, one, None, Some(kept.id), 9).await).await.is_empty());
        assert_eq!(w.read(async |c| offers::list_open(c, one, w.one.program, 9).await).await.len(), 1);
        assert!(w.read(async |c| offers::list_open(c, two, w.one.program, 9).await).await.is_empty());
        let take = async |brand: BrandId, minor| w.write(async |c| offers::take(c, brand, kept.id, minor).await).await;
        assert!(!take(two, 1).await);
        assert!(!take(one, 501).await, "over the budget");
        assert!(take(one, 500).await);
        assert!(!take(one, 0).await, "used up");
        w.write(async |c| offers::put_back(c, one, kept.id, 500).await).await;
        let found = w.read(async |c| offers::find(c, one, kept.id).await).await.unwrap();
        assert_eq!((found.uses_left, found.stock_left, found.budget_left_minor), (Some(1), None, Some(500)));
        (kept.state, kept.stopped_at) = (OfferState::Ended, Some(w.after(3)));
        assert!(w.write(async |c| offers::update(c, one, &kept).await).await);
        assert!(!w.write(async |c| offers::update(c, one, &kept).await).await, "it is at another version");
        assert_eq!(w.read(async |c| offers::find(c, one, kept.id).await).await.unwrap().stopped_at, kept.stopped_at);
        assert_eq!(w.read(async |c| offers::list_names(c, one, &[kept.id]).await).await, [(kept.id, kept.program_id, kept.name.clone())]);
        assert!(w.read(async |c| offers::list_names(c, two, &[kept.id]).await).await.is_empty());
        let count = async |since| w.write(async |c| offers::count_use(c, one, customer, kept.id, since).await).await;
        let used = async || w.read(async |c| offers::list_used(c, one, customer, &[kept.id]).await).await;
        assert!(used().await.is_empty());
        count(w.now).await;
        count(w.now).await;
        assert_eq!((used().await[0].used, used().await[0].period_used), (2, 2));
        count(w.after(9)).await;
        assert_eq!((used().await[0].used, used().await[0].period_used, used().await[0].period_since), (3, 1, w.after(9)));
        let uncount = async |at| w.write(async |c| offers::uncount_use(c, one, customer, kept.id, at).await).await;
        // A use of the period before takes nothing off this one.
        uncount(w.after(8)).await;
        assert_eq!((used().await[0].used, used().await[0].period_used), (2, 1));
        count(w.after(9)).await;
        uncount(w.after(10)).await;
        uncount(w.after(10)).await;
        w.write(async |c| offers::uncount_use(c, two, customer, kept.id, w.after(10)).await).await;
        assert_eq!((used().await[0].used, used().await[0].period_used), (1, 0));
        assert!(w.read(async |c| offers::list_used(c, two, customer, &[kept.id]).await).await.is_empty());
    }

    async fn a_coupon_is_used_once_by_whoever_holds_it(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let offer = with_offer(&w, &w.one).await;
        let all = [coupon(&w, &w.one, offer.id, "A"), coupon(&w, &w.one, offer.id, "B")];
        assert_eq!(w.write(async |c| coupons::insert(c, one, &all).await).await, 2);
        assert_eq!(w.write(async |c| coupons::insert(c, one, &[coupon(&w, &w.one, offer.id, "A2")]).await).await, 1);
        let twin = Coupon { typed: "OTHER".to_owned(), ..coupon(&w, &w.one, offer.id, "A") };
        assert_eq!(w.write(async |c| coupons::insert(c, one, &[twin]).await).await, 0);
        let a = &all[0];
        assert_eq!(w.read(async |c| coupons::find(c, one, a.id).await).await.as_ref(), Some(a));
        assert_eq!(w.read(async |c| coupons::find(c, two, a.id).await).await, None);
        assert_eq!(w.read(async |c| coupons::find_by_external_id(c, one, "A").await).await.unwrap().id, a.id);
        assert_eq!(w.read(async |c| coupons::list_by_ids(c, one, &[a.id, CouponId::FIRST]).await).await, std::slice::from_ref(a));
        assert!(w.read(async |c| coupons::list_by_ids(c, two, &[a.id]).await).await.is_empty());
        assert_eq!(w.read(async |c| coupons::find_by_code(c, one, &a.code_id).await).await.unwrap().id, a.id);
        assert_eq!(w.read(async |c| coupons::find_by_typed(c, one, "TYPEDA").await).await.unwrap().id, a.id);
        assert!(w.read(async |c| coupons::find_by_typed(c, two, "TYPEDA").await).await.is_none());
        assert_eq!(w.read(async |c| coupons::list_usable(c, one, w.one.customer, w.now, 9).await).await.len(), 3);
        assert!(w.read(async |c| coupons::list_usable(c, one, w.one.customer, w.after(100), 9).await).await.is_empty());
        let of = async |brand: BrandId, each| {
            w.read(async |c| coupons::list_usable_of(c, brand, &[w.one.customer, w.two.customer], w.now, each).await).await
        };
        assert_eq!((of(one, 9).await.len(), of(one, 2).await.len(), of(two, 9).await.len()), (3, 2, 0));
        assert_eq!(w.read(async |c| coupons::list(c, one, offer.id, Some(a.id), 9).await).await.len(), 2);
        let (mine, other) = (QuoteId::new(new_id()), QuoteId::new(new_id()));
        let hold = async |quote, at| w.write(async |c| coupons::hold(c, one, a.id, quote, w.after(50), w.after(at)).await).await;
        assert!(hold(mine, 0).await);
        assert!(!hold(other, 49).await);
        let (first, second) = (RedemptionId::new(new_id()), RedemptionId::new(new_id()));
        let redeem = async |brand: BrandId, redemption, quote| {
            let by = coupons::Use { redemption, quote, place: "Loja", done_at: w.now };
            w.write(async |c| coupons::redeem(c, brand, a.id, &by, w.after(1)).await).await
        };
        assert_eq!(redeem(one, first, Some(other)).await, None);
        assert_eq!(redeem(two, first, Some(mine)).await, None);
        assert_eq!(redeem(one, first, Some(mine)).await, Some(a.pass_id));
        assert_eq!(redeem(one, second, Some(mine)).await, None);
        assert!(!w.write(async |c| coupons::void_offline(c, one, a.id, ("Loja", w.now), w.now).await).await);
        let used = w.read(async |c| coupons::find(c, one, a.id).await).await.unwrap();
        assert_eq!((used.state, used.redemption_id, used.redeemed_in.as_deref()), (CouponState::Redeemed, Some(first), Some("Loja")));
        assert_eq!(used.redeemed_at, Some(w.now), "when it was done");
        assert!(!w.write(async |c| coupons::void(c, one, a.id, w.after(2)).await).await);
        assert!(!w.write(async |c| coupons::give_back(c, one, a.id, second).await).await);
        assert!(w.write(async |c| coupons::give_back(c, one, a.id, first).await).await);
        assert!(w.write(async |c| coupons::void(c, one, a.id, w.after(2)).await).await);
        let before = PassId::new(new_id());
        assert!(!w.write(async |c| coupons::set_pass(c, one, a.id, before).await).await, "it is void");
        assert!(!w.write(async |c| coupons::set_pass(c, two, all[1].id, before).await).await);
        assert!(w.write(async |c| coupons::set_pass(c, one, all[1].id, before).await).await);
        let pass = PassId::new(new_id());
        w.write(async |c| coupons::move_pass(c, two, before, PassId::new(new_id())).await).await;
        w.write(async |c| coupons::move_pass(c, one, before, pass).await).await;
        let quote = QuoteId::new(new_id());
        let held = async || w.read(async |c| coupons::find(c, one, all[1].id).await).await.unwrap().held_by;
        assert!(w.write(async |c| coupons::hold(c, one, all[1].id, quote, w.after(9), w.now).await).await);
        w.write(async |c| coupons::release(c, one, &[all[1].id], QuoteId::new(new_id())).await).await;
        w.write(async |c| coupons::release(c, two, &[all[1].id], quote).await).await;
        assert_eq!(held().await, Some(quote));
        w.write(async |c| coupons::release(c, one, &[all[1].id], quote).await).await;
        assert_eq!(held().await, None);
        assert_eq!(w.read(async |c| coupons::find(c, one, all[1].id).await).await.unwrap().pass_id, Some(pass));
        assert!(w.read(async |c| coupons::find_by_pass_code(c, one, &[0; 12]).await).await.is_none());

        let taken = Coupon { is_offline: true, ..coupon(&w, &w.one, offer.id, "Y") };
        w.write(async |c| coupons::insert(c, one, std::slice::from_ref(&taken)).await).await;
        assert!(!w.write(async |c| coupons::void_offline(c, two, taken.id, ("Loja", w.now), w.now).await).await);
        assert!(!w.write(async |c| coupons::void_offline(c, one, all[1].id, ("Loja", w.now), w.now).await).await, "no till takes it alone");
        assert!(w.write(async |c| coupons::void_offline(c, one, taken.id, ("Loja", w.now), w.after(1)).await).await);
        assert!(!w.write(async |c| coupons::void_offline(c, one, taken.id, ("Loja", w.now), w.after(1)).await).await);
        let gave = w.read(async |c| coupons::find(c, one, taken.id).await).await.unwrap();
        assert_eq!((gave.redeemed_at, gave.redeemed_in.as_deref()), (Some(w.now), Some("Loja")), "where and when it was taken");
        w.write(async |c| coupons::give_back(c, one, taken.id, first).await).await;
        let gone = Coupon { is_offline: true, state: CouponState::Voided, expires_at: Some(w.after(5)), ..coupon(&w, &w.one, offer.id, "Z") };
        w.write(async |c| coupons::insert(c, one, std::slice::from_ref(&gone)).await).await;
        let denied = async |brand: BrandId, at| w.read(async |c| coupons::list_denied(c, brand, w.after(at), 9).await).await;
        assert_eq!(denied(one, 4).await, [taken.code_id.clone(), gone.code_id.clone()], "what ended last, first");
        assert!(denied(one, 5).await == [taken.code_id.clone()] && denied(two, 4).await.is_empty());

        let waits = |name: &str, since: i64| Coupon { unshown_since: Some(w.after(since)), ..coupon(&w, &w.one, offer.id, name) };
        let waiting = [waits("P", 2), waits("Q", 1), waits("R", 1)];
        w.write(async |c| coupons::insert(c, one, &waiting).await).await;
        let unshown = async |brand: BrandId, at| {
            let found = w.read(async |c| coupons::list_unshown(c, brand, w.after(at), 9).await).await;
            found.into_iter().map(|coupon| coupon.typed).collect::<Vec<_>>()
        };
        assert_eq!(unshown(one, 3).await, ["TYPEDQ", "TYPEDR", "TYPEDP"]);
        assert!(unshown(two, 3).await.is_empty() && unshown(one, 1).await.is_empty());
        assert!(w.write(async |c| coupons::set_pass(c, one, waiting[0].id, PassId::new(new_id())).await).await);
        w.write(async |c| coupons::set_unshown(c, two, waiting[1].id, None).await).await;
        w.write(async |c| coupons::set_unshown(c, one, waiting[2].id, None).await).await;
        assert_eq!(unshown(one, 3).await, ["TYPEDQ"]);
        w.write(async |c| coupons::set_unshown(c, one, waiting[1].id, Some(w.after(4))).await).await;
        assert!(unshown(one, 3).await.is_empty() && unshown(one, 5).await.len() == 1, "another time");

        let batch = JobId::new(new_id());
        let many = ["C", "D", "E"].map(|name| Coupon { batch_id: Some(batch), external_id: None, ..coupon(&w, &w.one, offer.id, name) });
        assert_eq!(w.write(async |c| coupons::insert(c, one, &many).await).await, 3);
        let listed = w.read(async |c| coupons::list_batch(c, one, batch, Some(many[0].id), 1).await).await;
        assert_eq!(listed, many[1..2]);
        assert!(w.read(async |c| coupons::list_batch(c, two, batch, None, 9).await).await.is_empty());
    }

    async fn a_tills_own_ids_are_unique_in_their_place(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let placed = order(&w, "t1");
        assert!(w.write(async |c| orders::insert_order(c, one, &placed).await).await);
        assert!(!w.write(async |c| orders::insert_order(c, one, &order(&w, "t1")).await).await);
        assert!(w.write(async |c| orders::insert_order(c, one, &Order { place: "sto_1".to_owned(), ..order(&w, "t1") }).await).await);
        assert_eq!(w.read(async |c| orders::find_order_named(c, one, "online", "t1").await).await.unwrap().id, placed.id);
        assert!(w.read(async |c| orders::find_order_named(c, two, "online", "t1").await).await.is_none());
        let (lines, earnings) = (Json(json!([1])), Json(json!([2])));
        w.write(async |c| orders::set_returned(c, one, placed.id, 400, &lines, &earnings).await).await;
        let locked = w.write(async |c| orders::lock_order(c, one, placed.id).await).await.unwrap();
        assert_eq!((locked.returned_minor, locked.lines, locked.employee), (400, lines, Some(Personal::new("Rui".to_owned()))));
        assert!(w.write(async |c| orders::lock_order(c, two, placed.id).await).await.is_none());

        let back = |id: &str| Return { id: ReturnId::new(new_id()), place: "online".to_owned(), external_id: id.to_owned(), body_hash: vec![2; 32],
            order_id: placed.id, minor: 400, answer: Json(json!({ "a": 1 })), created_at: w.now };
        assert!(w.write(async |c| orders::insert_return(c, one, &back("r1")).await).await);
        assert!(!w.write(async |c| orders::insert_return(c, one, &back("r1")).await).await);
        assert_eq!(w.read(async |c| orders::find_return_named(c, one, "online", "r1").await).await.unwrap().answer.0["a"], 1);
        assert!(w.read(async |c| orders::find_return_named(c, two, "online", "r1").await).await.is_none());

        let redemption = |id: &str| Redemption { id: RedemptionId::new(new_id()), place: "online".to_owned(), transaction_id: id.to_owned(), body_hash: vec![3; 32],
            customer_id: None, store_id: None, terminal: None, employee: None, state: RedemptionState::Committed, currency: None,
            discount_minor: 5, items: Json(json!({})), done_at: None, created_at: w.now, voided_at: None };
        let first = redemption("x1");
        assert!(w.write(async |c| redemptions::insert_redemption(c, one, &first).await).await);
        assert!(!w.write(async |c| redemptions::insert_redemption(c, one, &redemption("x1")).await).await);
        assert_eq!(w.read(async |c| redemptions::find_redemption_named(c, one, "online", "x1").await).await.unwrap().id, first.id);
        assert!(w.read(async |c| redemptions::find_redemption(c, two, first.id).await).await.is_none());

        // A refusal is no redemption: the id stays free for another request, and the same request is refused the same.
        let refused = |body: u8| Redemption { state: RedemptionState::Refused, body_hash: vec![body; 32], items: Json(json!("why")), ..redemption("x2") };
        assert!(w.write(async |c| redemptions::insert_redemption(c, one, &refused(8)).await).await);
        assert!(!w.write(async |c| redemptions::insert_redemption(c, one, &refused(8)).await).await);
        assert!(w.write(async |c| redemptions::insert_redemption(c, one, &refused(9)).await).await);
        assert!(!w.write(async |c| redemptions::insert_redemption(c, one, &Redemption { state: RedemptionState::Committed, ..refused(8) }).await).await,
            "what was refused is not done later");
        let why = async |brand: BrandId, body: u8| w.read(async |c| redemptions::find_refusal(c, brand, "online", "x2", &[body; 32]).await).await;
        assert_eq!((why(one, 8).await, why(one, 7).await, why(two, 8).await), (Some(json!("why")), None, None));
        assert!(w.read(async |c| redemptions::find_redemption_named(c, one, "online", "x2").await).await.is_none());
        let later = w.now + TimeDelta::seconds(1);
        assert_eq!(w.write(async |c| redemptions::forget_refusals(c, two, later, 9).await).await, 0);
        assert_eq!(w.write(async |c| redemptions::forget_refusals(c, one, w.now, 9).await).await, 0);
        assert_eq!(w.write(async |c| redemptions::forget_refusals(c, one, later, 1).await).await, 1);
        assert_eq!(w.write(async |c| redemptions::forget_refusals(c, one, later, 9).await).await, 1);
        assert!(w.read(async |c| redemptions::find_redemption(c, one, first.id).await).await.is_some(), "what was done stays");
        assert!(w.write(async |c| redemptions::void_redemption(c, one, first.id, w.after(5)).await).await);
        assert!(!w.write(async |c| redemptions::void_redemption(c, one, first.id, w.after(6)).await).await);
        let voided = w.read(async |c| redemptions::find_redemption(c, one, first.id).await).await.unwrap();
        assert_eq!((voided.state, voided.voided_at), (RedemptionState::Voided, Some(w.after(5))));

        let quote = Quote { id: QuoteId::new(new_id()), place: "online".to_owned(), customer_id: None, basket_hash: vec![4; 32],
            content: Json(Value::Null), lock_until: Some(w.after(9)), redemption_id: None, created_at: w.now };
        w.write(async |c| redemptions::insert_quote(c, one, &quote).await).await;
        assert!(w.read(async |c| redemptions::find_quote(c, two, quote.id).await).await.is_none());
        assert!(w.write(async |c| redemptions::use_quote(c, one, quote.id, first.id).await).await);
        assert!(!w.write(async |c| redemptions::use_quote(c, one, quote.id, first.id).await).await, "once");
        assert_eq!(w.read(async |c| redemptions::find_quote(c, one, quote.id).await).await.unwrap().redemption_id, Some(first.id));
        assert_eq!(w.write(async |c| redemptions::forget_quotes(c, one, w.now, 9).await).await, 0);
        assert_eq!(w.write(async |c| redemptions::forget_quotes(c, one, w.now + TimeDelta::seconds(1), 9).await).await, 1);

        let conflict = Conflict { id: ConflictId::new(new_id()), place: "online".to_owned(), transaction_id: "x9".to_owned(), body_hash: vec![6; 32],
            customer_id: None, store_id: None, terminal: None, employee: Some(Personal::new("Rui".to_owned())), coupon_id: None,
            code: "already_redeemed".to_owned(), first_redemption_id: Some(first.id), done_at: w.now, created_at: w.now };
        assert!(w.write(async |c| redemptions::insert_conflict(c, one, &conflict).await).await);
        assert!(!w.write(async |c| redemptions::insert_conflict(c, one, &Conflict { id: ConflictId::new(new_id()), ..conflict.clone() }).await).await);
        let found = async |brand: BrandId, body: u8| w.read(async |c| redemptions::find_conflict(c, brand, "online", "x9", &[body; 32]).await).await;
        assert_eq!(found(one, 6).await.unwrap().id, conflict.id);
        assert!(found(one, 7).await.is_none() && found(two, 6).await.is_none());
        assert_eq!(w.read(async |c| redemptions::list_conflicts(c, one, None, 9).await).await.len(), 1);
        assert!(w.read(async |c| redemptions::list_conflicts(c, one, Some(conflict.id), 9).await).await.is_empty());
        assert!(w.read(async |c| redemptions::list_conflicts(c, two, None, 9).await).await.is_empty());

        let opening = |id: &str| Opening { id: OpeningId::new(new_id()), external_id: id.to_owned(), body_hash: vec![1; 32],
            wallet_id: WalletId::new(new_id()), created_at: w.now };
        let opened = opening("o1");
        assert!(w.write(async |c| openings::insert(c, one, &opened).await).await);
        assert!(!w.write(async |c| openings::insert(c, one, &opening("o1")).await).await);
        assert!(w.write(async |c| openings::insert(c, two, &opening("o1")).await).await);
        assert_eq!(w.read(async |c| openings::find(c, one, "o1").await).await.unwrap().wallet_id, opened.wallet_id);
        assert!(w.read(async |c| openings::find(c, one, "o2").await).await.is_none());

        let audited = Audited { id: AuditId::new(new_id()), key: KeyId::new(new_id()), action: "wallet.adjusted", subject: first.id.uuid(),
            reason: Some(Personal::new("why".to_owned())), data: json!({}), created_at: w.now };
        w.write(async |c| audit::insert(c, one, &audited).await).await;
    }
}
