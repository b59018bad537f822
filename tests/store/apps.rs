//! The brand's own app: installations, and what they are to be told.

use passarela::domain::content::{FieldRole, Text};
use passarela::domain::delivery::Channel;
use passarela::domain::ids::{AppDeviceId, BrandId, CustomerId};
use passarela::domain::notice::{AppPlatform, AppService, Known, Line, Notice};
use passarela::domain::pass::{Lane, PassKind, PassStatus};
use passarela::domain::secret::Secret;
use passarela::store::app_devices::{self, NewAppDevice, Registered};
use passarela::store::notices::{self, Untold, Wanted};
use passarela::store::{customers, outbox};

use super::world::{Tenant, World, new_id};
use crate::on_both_engines;

fn installation(customer: CustomerId, address: u8) -> NewAppDevice {
    NewAppDevice {
        customer,
        service: AppService::Fcm,
        platform: AppPlatform::Android,
        address_hash: vec![address; 32],
        fid: None,
        token: Some(Secret::new(format!("t{address}"))),
        locale: None,
    }
}

async fn register(w: &World, brand: BrandId, device: &NewAppDevice, at: i64) -> Registered {
    let id = AppDeviceId::new(new_id());
    w.write(async |c| app_devices::register(c, brand, id, device, w.after(at)).await).await
}

fn notice(points: &str) -> Notice {
    let text = |text: &str| Text::literal(text.to_owned());
    Notice {
        kind: PassKind::Loyalty,
        status: PassStatus::Active,
        organization: text("Aurora"),
        headline: text("Clube"),
        lines: vec![Line { key: "p".to_owned(), role: FieldRole::Balance, value: text(points), message: None }],
    }
}

async fn another_customer(w: &World, tenant: &Tenant) -> CustomerId {
    let known = w.read(async |c| customers::find(c, tenant.brand, tenant.customer).await).await.unwrap();
    let other = customers::Customer { id: CustomerId::new(new_id()), ..known };
    w.write(async |c| customers::insert(c, tenant.brand, &other).await).await;
    other.id
}

on_both_engines! {
    async fn an_installation_is_its_last_customers(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let rui = another_customer(&w, &w.one).await;
        let first = register(&w, one, &installation(w.one.customer, 1), 0).await;
        assert_eq!((first.is_new, first.was_of), (true, None));
        let again = register(&w, one, &installation(w.one.customer, 1), 1).await;
        assert_eq!((again.id, again.is_new, again.was_of), (first.id, false, None));
        let his = register(&w, one, &installation(rui, 1), 2).await;
        assert_eq!((his.id, his.was_of), (first.id, Some(w.one.customer)));
        let find = async |brand| w.read(async |c| app_devices::find(c, brand, first.id).await).await;
        assert_eq!((find(one).await.unwrap().customer, find(two).await), (rui, None));
        let second = register(&w, one, &installation(rui, 2), 3).await;
        let list = async |brand, customer, after| {
            let found = w.read(async |c| app_devices::list(c, brand, customer, after, 9).await).await;
            found.into_iter().map(|device| device.id).collect::<Vec<_>>()
        };
        assert_eq!(list(one, None, None).await, [first.id, second.id]);
        assert_eq!(list(one, Some(rui), Some(first.id)).await, [second.id]);
        assert_eq!((list(one, Some(w.one.customer), None).await, list(two, None, None).await), (vec![], vec![]));
        let surplus = async |keep| w.read(async |c| app_devices::list_surplus(c, one, rui, keep).await).await;
        assert_eq!((surplus(1).await, surplus(2).await), (vec![first.id], vec![]));
        let remove = async |brand, at| w.write(async |c| app_devices::remove(c, brand, first.id, w.after(at)).await).await;
        assert_eq!([remove(two, 9).await, remove(one, 1).await, remove(one, 2).await, remove(one, 2).await], [false, false, true, false]);
        assert_eq!(list(one, None, None).await, [second.id]);
    }

    async fn an_address_that_is_refused_is_known_until_it_is_taken(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let device = register(&w, one, &installation(w.one.customer, 1), 0).await.id;
        let load = async |service, devices: &[AppDeviceId]| w.read(async |c| app_devices::load_targets(c, one, service, devices).await).await;
        assert!(load(AppService::Apns, &[device]).await.is_empty() && load(AppService::Fcm, &[]).await.is_empty());
        let target = load(AppService::Fcm, &[device]).await.remove(0);
        assert_eq!((target.customer, target.coupons, target.refused_since), (w.one.customer, 0, None));
        let suspect = async |at| w.write(async |c| app_devices::suspect(c, one, &target, w.after(at)).await).await;
        assert!(suspect(1).await && suspect(5).await);
        assert_eq!(load(AppService::Fcm, &[device]).await[0].refused_since, Some(w.after(1)));
        let told_since = async |at| w.read(async |c| app_devices::was_told_since(c, one, AppService::Fcm, w.after(at)).await).await;
        assert!(!told_since(0).await);
        w.write(async |c| app_devices::note_told(c, w.two.brand, &[device], w.after(6)).await).await;
        assert!(!told_since(0).await);
        w.write(async |c| app_devices::note_told(c, one, &[device], w.after(6)).await).await;
        assert!(told_since(5).await && !told_since(6).await);
        assert_eq!(load(AppService::Fcm, &[device]).await[0].refused_since, None);
        suspect(7).await;
        assert!(!register(&w, one, &installation(w.one.customer, 1), 7).await.is_renewed);
        assert!(load(AppService::Fcm, &[device]).await[0].refused_since.is_some(), "it is the same address");
        let renewed = NewAppDevice { token: Some(Secret::new("new".to_owned())), ..installation(w.one.customer, 1) };
        assert!(register(&w, one, &renewed, 7).await.is_renewed);
        assert_eq!(load(AppService::Fcm, &[device]).await[0].refused_since, None);
        assert!(!suspect(8).await, "it has another address by now");
    }

    async fn what_was_told_is_kept_and_what_came_meanwhile_is_told_again(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let pass = w.pass(&w.one, None).await.id;
        let device = register(&w, one, &installation(w.one.customer, 1), 0).await.id;
        let load = async |brand| w.read(async |c| notices::load(c, brand, &[pass]).await).await.len();
        w.write(async |c| notices::put(c, one, &[(pass, &notice("1"))]).await).await;
        assert_eq!((load(one).await, load(w.two.brand).await), (1, 0));
        let watchers = async |brand| w.write(async |c| notices::list_watchers(c, brand, &[w.one.customer]).await).await;
        assert_eq!((watchers(one).await.len(), watchers(w.two.brand).await.len()), (1, 0));
        let want = async |wanted_no, known: Known| {
            let wanted = [Wanted { device, pass, wanted_no, known: &known }];
            w.write(async |c| notices::want(c, one, &wanted, w.now).await).await;
        };
        let untold = async || w.read(async |c| notices::list_untold(c, one, &[device], 9).await).await;
        want(1, Known::Nothing).await;
        assert!(untold().await[0].known == Known::Nothing && untold().await[0].notice == notice("1"));
        let forgotten = async |after, parked_before| {
            w.read(async |c| notices::list_forgotten(c, one, after, w.after(parked_before), 9).await).await.len()
        };
        assert_eq!((forgotten(None, 0).await, forgotten(Some(device), 0).await), (1, 0));
        let enqueue = async |c: &mut passarela::store::Conn<'_>| {
            outbox::enqueue(c, one, Channel::Fcm, &[(device.uuid(), Lane::Bulk)], w.now, w.now).await
        };
        w.write(enqueue).await;
        assert_eq!(forgotten(None, 0).await, 0, "a row sees to it");
        let seen: Untold = untold().await.remove(0);
        w.write(async |c| notices::put(c, one, &[(pass, &notice("2"))]).await).await;
        want(2, Known::Something).await;
        let tell = async |seen: &Untold| w.write(async |c| notices::tell(c, one, &[seen], w.now).await).await;
        tell(&seen).await;
        let now = untold().await.remove(0);
        assert!(now.wanted_no == 2 && now.known == Known::Notice(notice("1")) && now.notice == notice("2"));
        let told = async || w.read(async |c| notices::list_told(c, one, pass, 9).await).await.remove(0);
        assert!(!told().await.is_told);
        tell(&now).await;
        tell(&seen).await;
        assert!(untold().await.is_empty() && told().await.is_told && told().await.told_at == Some(w.now));
        assert!(w.read(async |c| notices::list_told(c, w.two.brand, pass, 9).await).await.is_empty());
        assert!(w.write(async |c| app_devices::remove(c, one, device, w.now).await).await);
        assert!(w.read(async |c| outbox::find(c, one, Channel::Fcm, device.uuid()).await).await.is_none());
    }
}
