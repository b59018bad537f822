//! `/i/{brand}/{template}/{version}/{name}`: images of designs, for Google's fetchers and our own pages. Public, and the
//! same for ever: a new version has another address.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Path};

use crate::http::extract::id;
use crate::service::brands::find_by_code;
use crate::service::{App, Problem, templates};

pub async fn image(app: Data<App>, path: Path<(String, String, String, String)>) -> Result<HttpResponse, Problem> {
    let (code, template, version, name) = path.into_inner();
    let (template, version) = (id(&template, "image")?, id(&version, "image")?);
    let found = app.run(async move |app| {
        let brand = find_by_code(&app, &code).await?.ok_or(Problem::NotFound { what: "image" })?;
        let image = templates::find_image(&app, brand.id, template, version, &name).await;
        match image {
            Ok(Some(image)) => Ok(image),
            Ok(None) | Err(Problem::NotFound { .. }) => Err(Problem::NotFound { what: "image" }),
            Err(problem) => Err(problem),
        }
    });
    let image = found.await?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .content_type("image/png")
        .body(image))
}
