//! Customers, what they are known by, and their memberships.

use passarela::domain::consent::{Channel, ConsentState};
use passarela::domain::identifier::IdentifierKind;
use passarela::domain::ids::MemberId;
use passarela::domain::secret::Personal;
use passarela::store::consents::{self, Consent};
use passarela::store::customers::Identifier;
use passarela::store::{Conn, customers, members};

use super::world::{World, customer, new_id};
use crate::on_both_engines;

fn identifier(kind: IdentifierKind, value: &str) -> Identifier {
    Identifier { kind, value: Personal::new(value.to_owned()), lookup: value.as_bytes().repeat(8) }
}

on_both_engines! {
    async fn a_customer_is_written_whole_at_the_version_that_was_read(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let mut ana = customer("Ana", w.now);
        w.write(async |c| customers::insert(c, one, &ana).await).await;
        assert!(w.read(async |c| customers::find(c, two, ana.id).await).await.is_none());
        ana.name = Some(Personal::new("Ana Lima".to_owned()));
        assert!(w.write(async |c| customers::update(c, one, &ana, w.after(1)).await).await);
        assert!(!w.write(async |c| customers::update(c, one, &ana, w.after(1)).await).await, "read at version 1");
        let found = w.write(async |c| customers::find_for_update(c, one, ana.id).await).await.unwrap();
        assert_eq!((found.version, found.updated_at, found.created_at), (2, w.after(1), w.now));
        assert_eq!(found.name, ana.name);
        assert_eq!(found.attributes, ana.attributes);
        let page = w.read(async |c| customers::list(c, one, Some(w.one.customer), 5).await).await;
        assert_eq!(page.iter().map(|customer| customer.id).collect::<Vec<_>>(), [ana.id]);
    }

    async fn a_card_is_one_customer_s_and_an_e_mail_a_family_s(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let bia = customer("Bia", w.now);
        w.write(async |c| customers::insert(c, one, &bia).await).await;
        let add = async |customer, identifier: &Identifier| {
            w.write(async |c| customers::insert_identifier(c, one, customer, identifier, w.now).await).await
        };
        let (card, mail) = (identifier(IdentifierKind::CardNumber, "77"), identifier(IdentifierKind::Email, "a@b.c"));
        assert!(add(w.one.customer, &card).await);
        assert!(add(w.one.customer, &card).await, "the same again changes nothing");
        assert!(!add(bia.id, &card).await);
        assert!(add(w.one.customer, &mail).await && add(bia.id, &mail).await);
        let find = async |brand, identifier: &Identifier| {
            w.read(async |c| customers::find_by_identifier(c, brand, &identifier.kind, &identifier.lookup, 2).await).await
        };
        assert_eq!(find(one, &card).await, [w.one.customer]);
        assert_eq!(find(one, &mail).await.len(), 2);
        assert!(find(two, &card).await.is_empty());
        let known = w.read(async |c| customers::list_identifiers(c, one, w.one.customer).await).await;
        assert_eq!(known.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["card_number", "email"]);
        w.write(async |c| customers::remove_identifier(c, two, w.one.customer, &card.kind).await).await;
        assert_eq!(find(one, &card).await, [w.one.customer], "another brand removes nothing");
        w.write(async |c| customers::remove_identifier(c, one, w.one.customer, &card.kind).await).await;
        assert!(add(bia.id, &card).await, "free again");
    }

    async fn two_who_look_for_one_identifier_take_turns(engine) {
        let w = World::new(engine).await;
        let mut first = w.db.begin().await.unwrap();
        customers::lock_lookup(&mut first.conn(), &[9; 32]).await.unwrap();
        if let Conn::Postgres(_) = first.conn() {
            let mut second = w.db.begin().await.unwrap();
            let waiting = async { customers::lock_lookup(&mut second.conn(), &[9; 32]).await };
            assert!(tokio::time::timeout(std::time::Duration::from_millis(200), waiting).await.is_err());
            drop(second);
        }
        first.commit().await.unwrap();
        w.write(async |c| customers::lock_lookup(c, &[9; 32]).await).await;
    }

    async fn a_membership_is_made_once(engine) {
        let w = World::new(engine).await;
        let again = MemberId::new(new_id());
        let member = w
            .write(async |c| members::ensure(c, w.one.brand, w.one.program, w.one.customer, again, w.after(5)).await)
            .await;
        assert_eq!(member, (w.one.member, w.now));
    }

    async fn the_newest_decision_is_kept(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let consent = |state, at| Consent { purpose: "marketing".to_owned(), channel: Channel::Wallet, state, notice_version: "1".to_owned(),
            source: "form".to_owned(), decided_at: w.after(at), created_at: w.now };
        let decide = async |consent: &Consent| w.write(async |c| consents::decide(c, one, w.one.customer, consent).await).await;
        assert!(decide(&consent(ConsentState::Granted, 5)).await);
        assert!(!decide(&consent(ConsentState::Withdrawn, 4)).await);
        assert!(!decide(&consent(ConsentState::Withdrawn, 5)).await, "the first of two at the same moment");
        let withdrawn = consent(ConsentState::Withdrawn, 6);
        assert!(decide(&withdrawn).await);
        assert_eq!(w.read(async |c| consents::list(c, one, w.one.customer).await).await, [withdrawn]);
        assert!(w.read(async |c| consents::list(c, two, w.one.customer).await).await.is_empty());
    }
}
