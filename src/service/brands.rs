//! Brands, and the pass types bound to them.

use chrono_tz::Tz;

use crate::clock::random_crockford;
use crate::domain::ids::BrandId;
use crate::domain::locale::Locale;
use crate::domain::pass::is_pass_type;
use crate::domain::text;
use crate::service::bundles::usable_signer;
use crate::service::{App, Problem};
use crate::store::brands::{self, Brand};

/// Length of a brand's code.
pub const CODE_LEN: usize = 8;

/// Creates a brand with a fresh code, with pass types that nobody has yet: all of it or nothing.
pub async fn create(
    app: &App,
    name: &str,
    locale: Locale,
    time_zone: &str,
    pass_types: &[String],
) -> Result<Brand, Problem> {
    pass_types.iter().try_for_each(|pass_type| check_pass_type(pass_type))?;
    let name = text::line(name, 64).map_err(Problem::text("/name"))?;
    time_zone.parse::<Tz>().map_err(|_| Problem::invalid("/time_zone", "time_zone must be an IANA name"))?;
    let brand = Brand {
        newest_code_key: 1,
        oldest_code_key: 1,
        id: BrandId::new(app.clock.new_id()),
        code: random_crockford(&*app.clock, CODE_LEN),
        name,
        locale,
        time_zone: time_zone.to_owned(),
        created_at: app.clock.now(),
    };
    let mut tx = app.db.begin().await?;
    brands::insert(&mut tx.conn(), &brand).await?;
    for pass_type in pass_types {
        if !brands::insert_pass_type(&mut tx.conn(), brand.id, pass_type, brand.created_at).await? {
            return Err(Problem::PassTypeTaken);
        }
    }
    tx.commit().await?;
    Ok(brand)
}

fn check_pass_type(pass_type: &str) -> Result<(), Problem> {
    if is_pass_type(pass_type) {
        return Ok(());
    }
    Err(Problem::invalid("/pass_type", "a pass type is pass. and letters, digits, dots and hyphens"))
}

/// Binds a pass type to a brand; binding it to the same brand again changes nothing.
pub async fn bind_pass_type(app: &App, brand: BrandId, pass_type: &str) -> Result<(), Problem> {
    check_pass_type(pass_type)?;
    let mut tx = app.db.begin().await?;
    if !brands::insert_pass_type(&mut tx.conn(), brand, pass_type, app.clock.now()).await? {
        let owner = brands::find_owner(&mut tx.conn(), pass_type).await?;
        return if owner == Some(brand) { Ok(()) } else { Err(Problem::PassTypeTaken) };
    }
    tx.commit().await?;
    Ok(())
}

/// The brand that an address begins with. Unknown codes cost a look-up, in a task of its own; known ones cost nothing.
pub async fn find_by_code(app: &App, code: &str) -> Result<Option<Brand>, Problem> {
    if code.len() != CODE_LEN || !code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Ok(None);
    }
    if let Some(brand) = app.brands.read().ok().and_then(|known| known.get(code).cloned()) {
        return Ok(Some(brand));
    }
    let wanted = code.to_owned();
    let look_up = async move |app: App| Ok(brands::find_by_code(&mut app.db.read().await?.conn(), &wanted).await?);
    let brand = app.run(look_up).await?;
    if let (Some(brand), Ok(mut known)) = (&brand, app.brands.write()) {
        known.insert(code.to_owned(), brand.clone());
    }
    Ok(brand)
}

/// Every brand with its pass types: for the operator.
pub async fn list(app: &App) -> Result<Vec<(Brand, Vec<String>)>, Problem> {
    let mut reader = app.db.read().await?;
    let mut listed = Vec::new();
    for brand in brands::list(&mut reader.conn()).await? {
        let pass_types = brands::list_pass_types(&mut reader.conn(), brand.id).await?;
        listed.push((brand, pass_types));
    }
    Ok(listed)
}

/// Pass types of any brand that cannot be signed now.
pub async fn list_unsigned(app: &App) -> Result<Vec<String>, Problem> {
    let listed = list(app).await?;
    let all = listed.into_iter().flat_map(|(_, pass_types)| pass_types);
    Ok(all.filter(|pass_type| usable_signer(app, pass_type).is_err()).collect())
}

/// The pass type of a brand that has just one.
pub async fn only_pass_type(app: &App, brand: BrandId) -> Result<String, Problem> {
    let mut pass_types = brands::list_pass_types(&mut app.db.read().await?.conn(), brand).await?;
    match (pass_types.pop(), pass_types.is_empty()) {
        (Some(pass_type), true) => Ok(pass_type),
        (Some(_), false) => Err(Problem::invalid("/pass_type", "the brand has several pass types; name one")),
        (None, _) => Err(Problem::invalid("/pass_type", "the brand has no pass type; bind one first")),
    }
}
