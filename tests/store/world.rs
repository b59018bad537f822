//! A database with two brands and something in each, made by the store's own functions.

use chrono::{DateTime, TimeDelta, Utc};
use passarela::clock::{Clock as _, SystemClock};
use passarela::domain::ids::{BrandId, CustomerId, DeviceId, MemberId, PassId, ProgramId, TemplateId};
use passarela::domain::locale::Locale;
use passarela::domain::pass::{PassKind, PassStatus};
use passarela::domain::secret::{Personal, Secret};
use passarela::store::brands::Brand;
use passarela::store::customers::Customer;
use passarela::store::devices::NewDevice;
use passarela::store::passes::{FirstContent, Pass};
use passarela::store::programs::Program;
use passarela::store::templates::Template;
use passarela::store::{Conn, Db, brands, customers, devices, members, passes, programs, templates};
use serde_json::json;

use crate::engine::{Engine, Place};

pub struct World {
    pub db: Db,
    pub now: DateTime<Utc>,
    pub one: Tenant,
    pub two: Tenant,
    _place: Place,
}

pub struct Tenant {
    pub brand: BrandId,
    pub code: String,
    pub pass_type: String,
    pub program: ProgramId,
    pub customer: CustomerId,
    pub member: MemberId,
    pub template: TemplateId,
}

/// A time that both engines keep exactly: whole microseconds.
fn now() -> DateTime<Utc> {
    SystemClock.now()
}

pub fn new_id() -> uuid::Uuid {
    SystemClock.new_id()
}

impl World {
    pub async fn new(engine: Engine) -> Self {
        let place = Place::new(engine).await;
        let db = Db::connect(&place.url, 4).await.unwrap();
        db.migrate().await.unwrap();
        let now = now();
        let (one, two) =
            (tenant(&db, "aaaaaaaa", "pass.one", now).await, tenant(&db, "bbbbbbbb", "pass.two", now).await);
        Self { db, now, one, two, _place: place }
    }

    /// Work in a transaction of its own, committed.
    pub async fn write<T>(&self, work: impl AsyncFnOnce(&mut Conn<'_>) -> sqlx::Result<T>) -> T {
        write(&self.db, work).await
    }

    pub async fn read<T>(&self, work: impl AsyncFnOnce(&mut Conn<'_>) -> sqlx::Result<T>) -> T {
        work(&mut self.db.read().await.unwrap().conn()).await.unwrap()
    }

    pub fn after(&self, seconds: i64) -> DateTime<Utc> {
        self.now + TimeDelta::seconds(seconds)
    }

    /// A published pass of the tenant's customer.
    pub async fn pass(&self, tenant: &Tenant, external_id: Option<&str>) -> Pass {
        let pass = pass(tenant, external_id, self.now);
        let tag = self.write(async |c| brands::take_tags(c, tenant.brand, &tenant.pass_type, 1).await).await;
        let first = first_content(tag.n, self.now);
        assert!(self.write(async |c| passes::insert(c, tenant.brand, &pass, &first).await).await);
        pass
    }

    /// A device that holds the pass.
    pub async fn device(&self, tenant: &Tenant, pass: PassId, library_id: &str) -> DeviceId {
        let device = device(tenant, library_id, "aa");
        let new_id = DeviceId::new(new_id());
        self.write(async |c| {
            let id = devices::upsert(c, tenant.brand, new_id, &device, self.now).await?;
            devices::register(c, tenant.brand, pass, id, self.now).await.map(|_| id)
        })
        .await
    }
}

pub async fn write<T>(db: &Db, work: impl AsyncFnOnce(&mut Conn<'_>) -> sqlx::Result<T>) -> T {
    let mut tx = db.begin().await.unwrap();
    let done = work(&mut tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
    done
}

pub fn device(tenant: &Tenant, library_id: &str, push_token: &str) -> NewDevice {
    NewDevice {
        pass_type: tenant.pass_type.clone(),
        library_id: Secret::new(library_id.to_owned()),
        push_token: Secret::new(push_token.to_owned()),
        scheme: "ApplePass".to_owned(),
    }
}

pub fn pass(tenant: &Tenant, external_id: Option<&str>, now: DateTime<Utc>) -> Pass {
    let id = new_id();
    Pass {
        id: PassId::new(id),
        pass_type: tenant.pass_type.clone(),
        serial: format!("S{}", id.simple()),
        link: Secret::new(format!("{}{}", tenant.code, id.simple())),
        code_id: id.as_bytes().to_vec(),
        token_key_version: 1,
        token_hash: None,
        program_id: tenant.program,
        customer_id: tenant.customer,
        member_id: tenant.member,
        template_id: tenant.template,
        external_id: external_id.map(str::to_owned),
        order_hash: vec![1; 32],
        data: Personal::new(json!({ "points": 1 }).as_object().unwrap().clone()),
        status: PassStatus::Active,
        reissued_as: None,
        created_at: now,
        updated_at: now,
        change_no: 1,
        published_no: 1,
    }
}

pub fn first_content(tag_n: i64, now: DateTime<Utc>) -> FirstContent {
    FirstContent {
        tag_n,
        last_modified: now.timestamp(),
        publish_after: now,
        render_at: None,
        template_version: 1,
        wanted_version: 0,
        signed_up_at: None,
        apple: b"{}".to_vec(),
        apple_hash: vec![2; 32],
        google: Vec::new(),
        google_hash: vec![3; 32],
    }
}

pub fn customer(name: &str, now: DateTime<Utc>) -> Customer {
    Customer {
        id: CustomerId::new(new_id()),
        name: Some(Personal::new(name.to_owned())),
        locale: Some(Locale::PtBr),
        time_zone: None,
        attributes: Personal::new(json!({ "vip": true }).as_object().unwrap().clone()),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

pub fn program(external_id: Option<&str>, now: DateTime<Utc>) -> Program {
    Program {
        id: ProgramId::new(new_id()),
        external_id: external_id.map(str::to_owned),
        name: "Clube".to_owned(),
        time_zone: "America/Sao_Paulo".to_owned(),
        version: 1,
        rules_version: 0,
        created_at: now,
        updated_at: now,
    }
}

async fn tenant(db: &Db, code: &str, pass_type: &str, now: DateTime<Utc>) -> Tenant {
    let brand = Brand {
        newest_code_key: 1,
        oldest_code_key: 1,
        id: BrandId::new(new_id()),
        code: code.to_owned(),
        name: "Loja".to_owned(),
        locale: Locale::PtBr,
        time_zone: "America/Sao_Paulo".to_owned(),
        created_at: now,
    };
    let (program, customer) = (program(None, now), customer("Ana", now));
    let template = Template {
        id: TemplateId::new(new_id()),
        name: "clube".to_owned(),
        kind: PassKind::Loyalty,
        pass_type: pass_type.to_owned(),
        version: 1,
        live_version: 1,
        created_at: now,
        updated_at: now,
    };
    let member = write(db, async |c| {
        brands::insert(c, &brand).await?;
        assert!(brands::insert_pass_type(c, brand.id, pass_type, now).await?);
        assert!(programs::insert(c, brand.id, &program).await?);
        customers::insert(c, brand.id, &customer).await?;
        templates::next_version(c, brand.id, &template).await?;
        members::ensure(c, brand.id, program.id, customer.id, MemberId::new(new_id()), now).await
    })
    .await;
    Tenant {
        brand: brand.id,
        code: brand.code,
        pass_type: pass_type.to_owned(),
        program: program.id,
        customer: customer.id,
        member: member.0,
        template: template.id,
    }
}
