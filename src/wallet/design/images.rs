//! The images of a design: known names, real PNG, of the size that wallets show, without metadata.

use std::cell::RefCell;
use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageDecoder as _};

use crate::domain::locale::Locale;
use crate::domain::pass::PassKind;
use crate::wallet::design::Files;
use crate::wallet::design::reader::BadDesign;
use crate::wallet::fault::Fault;

/// An image that a design may hold.
struct Known {
    name: &'static str,
    /// Points, at most: what a wallet shows (HIG; apple/pass-builder), times the scale in pixels.
    width: u32,
    height: u32,
    /// The kinds of passes that show it; empty for all.
    kinds: &'static [PassKind],
}

const fn known(name: &'static str, width: u32, height: u32, kinds: &'static [PassKind]) -> Known {
    Known { name, width, height, kinds }
}

const IMAGES: &[Known] = &[
    known("icon", 38, 38, &[]),
    known("logo", 160, 50, &[]),
    known("strip", 375, 144, &[PassKind::Loyalty, PassKind::Coupon, PassKind::Event]),
    known("thumbnail", 90, 90, &[PassKind::Generic, PassKind::Event]),
    known("background", 345, 505, &[PassKind::Event]),
    known("artwork", 358, 448, &[]),
    known("primaryLogo", 126, 30, &[]),
    known("secondaryLogo", 135, 12, &[PassKind::Event]),
    known("footer", 286, 15, &[PassKind::Generic]),
    known("venueMap", 375, 375, &[PassKind::Event]),
    known("personalizationLogo", 150, 40, &[]),
    // For Google alone: a round logo, and the wide picture below the card's head.
    known("googleLogo", 660, 660, &[]),
    known("googleHero", 1_032, 336, &[]),
];

/// Bytes of one image at most.
pub const IMAGE_MAX_BYTES: usize = 5 * 1024 * 1024;

/// Pixels of an image at most, a side and in all, looked at in its header before anything is decoded.
const SIDE_MAX: u32 = 4_096;
const PIXELS_MAX: u64 = 16_000_000;
const DECODE_MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Whether this is the name of an image for Google alone, which no bundle holds.
pub fn is_for_google_only(name: &str) -> bool {
    name.starts_with("google")
}

/// A name such as `strip@2x.png` or `en/strip@2x.png`, taken apart.
struct Name<'a> {
    kind: &'a str,
    scale: u32,
}

fn take_apart(path: &str) -> Result<Name<'_>, String> {
    let file = match path.split_once('/') {
        None => path,
        Some((folder, file)) => {
            folder.parse::<Locale>().map_err(|error| format!("is in a folder that is no language: {error}"))?;
            file
        }
    };
    let stem = file.strip_suffix(".png").unwrap_or(file);
    let (kind, scale) = match stem.split_once('@') {
        None => (stem, 1),
        Some((kind, "2x")) => (kind, 2),
        Some((kind, "3x")) => (kind, 3),
        Some(_) => return Err("has a scale that is neither @2x nor @3x".to_owned()),
    };
    Ok(Name { kind, scale })
}

/// Looks at every image; what is wrong with one is a fault of that file.
pub fn read(files: &Files, kind: PassKind, locales: &[Locale], faults: &RefCell<Vec<BadDesign>>) -> Files {
    let fault = |file: &str, reason: String| {
        faults.borrow_mut().push(BadDesign { file: file.to_owned(), line: None, reason });
    };
    let mut images = Files::new();
    for (path, content) in files.iter().filter(|(path, _)| path.ends_with(".png")) {
        match check(path, content, kind) {
            Ok(()) => drop(images.insert(path.clone(), content.clone())),
            Err(reason) => fault(path, reason),
        }
    }
    for required in ["icon.png", "icon@2x.png", "icon@3x.png", "logo.png"] {
        let is_there = |prefix: &str| images.contains_key(&format!("{prefix}{required}"));
        if !is_there("")
            && !locales.iter().any(|locale| is_there(&format!("{locale}/")))
            && !files.contains_key(required)
        {
            fault(
                required,
                "is missing: a phone refuses a pass without its icon, Google a class without a logo".to_owned(),
            );
        }
    }
    check_languages(&images, locales, &fault);
    let has = |name: &str| images.keys().any(|path| take_apart(path).is_ok_and(|known| known.kind == name));
    if kind == PassKind::Event && has("strip") && (has("background") || has("thumbnail")) {
        fault("strip.png", "an event ticket with a strip shows neither background nor thumbnail".to_owned());
    }
    images
}

/// An image stands at the top or in every language: a phone prefers the one at the top, and looks in one language only.
fn check_languages(images: &Files, locales: &[Locale], fault: &impl Fn(&str, String)) {
    for path in images.keys() {
        let Some((folder, file)) = path.split_once('/') else { continue };
        if images.contains_key(file) {
            fault(path, format!("is hidden by {file} at the top: keep one of them"));
        }
        if !locales.iter().any(|locale| locale.as_str() == folder) {
            fault(path, format!("is in a language without texts: {folder}.toml is missing"));
        }
        if let Some(lacking) = locales.iter().find(|locale| !images.contains_key(&format!("{locale}/{file}"))) {
            fault(path, format!("is missing for {lacking}: an image that differs by language is in every language"));
        }
    }
}

fn check(path: &str, content: &[u8], pass_kind: PassKind) -> Result<(), String> {
    let known = fits(path, content)?;
    if !known.kinds.is_empty() && !known.kinds.contains(&pass_kind) {
        return Err(format!("is not shown by a pass of the kind {pass_kind}"));
    }
    Ok(())
}

/// Whether it is an image that some pass shows, and no larger.
fn fits(path: &str, content: &[u8]) -> Result<&'static Known, String> {
    let name = take_apart(path)?;
    let Some(known) = IMAGES.iter().find(|known| known.name == name.kind) else {
        let names: Vec<_> = IMAGES.iter().map(|known| known.name).collect();
        return Err(format!("is no image of a pass; {} are", names.join(", ")));
    };
    let (wide, high) = dimensions(content)?;
    let (width, height) = (known.width * name.scale, known.height * name.scale);
    if wide > width || high > height {
        return Err(format!("is {wide}×{high} pixels; a wallet shows at most {width}×{height}"));
    }
    Ok(known)
}

/// Width and height, read from the header. Refused is what is no PNG, too heavy, or too large to be decoded safely.
fn dimensions(content: &[u8]) -> Result<(u32, u32), String> {
    if content.len() > IMAGE_MAX_BYTES {
        return Err("is over 5 MiB".to_owned());
    }
    let (wide, high) = decoder(content)?.dimensions();
    if wide > SIDE_MAX || high > SIDE_MAX || u64::from(wide) * u64::from(high) > PIXELS_MAX {
        return Err(format!("is {wide}×{high} pixels; at most {SIDE_MAX} a side and 16 million in all"));
    }
    Ok((wide, high))
}

/// What wallets show, but not as it was perhaps meant: pictures of another size than their name says, or far too small.
pub fn notes(images: &Files) -> Vec<Fault> {
    let mut notes = Vec::new();
    for (path, content) in images {
        let (Ok(name), Ok((wide, high))) = (take_apart(path), dimensions(content)) else { continue };
        let Some(known) = IMAGES.iter().find(|known| known.name == name.kind) else { continue };
        let base = path.replace(&format!("@{}x", name.scale), "");
        let at_one = images.get(&base).and_then(|content| dimensions(content).ok());
        let is_off = |side: u32, base: u32| side.abs_diff(base * name.scale) >= name.scale;
        match at_one {
            Some((base_wide, base_high)) if name.scale > 1 && (is_off(wide, base_wide) || is_off(high, base_high)) => {
                let (wanted_wide, wanted_high) = (base_wide * name.scale, base_high * name.scale);
                let detail = format!(
                    "{path} is {wide}×{high} pixels; {base} is {base_wide}×{base_high}, so it should be {wanted_wide}×{wanted_high}"
                );
                notes.push(Fault::poor("image-scale", detail));
            }
            _ if wide < known.width * name.scale / 2 && high < known.height * name.scale / 2 => {
                let (width, height) = (known.width * name.scale, known.height * name.scale);
                let detail = format!("{path} is {wide}×{high} pixels, and its place {width}×{height}");
                notes.push(Fault::poor("image-small", detail));
            }
            _ => {}
        }
    }
    notes
}

type Decoder<'a> = image::codecs::png::PngDecoder<Cursor<&'a [u8]>>;

fn decoder(content: &[u8]) -> Result<Decoder<'_>, String> {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(DECODE_MAX_BYTES);
    let decoder = Decoder::with_limits(Cursor::new(content), limits);
    let decoder = decoder.map_err(|error| format!("is not a PNG image: {error}"))?;
    if decoder.is_apng().unwrap_or(true) {
        return Err("is animated, which no wallet shows".to_owned());
    }
    Ok(decoder)
}

fn decode(content: &[u8]) -> Result<DynamicImage, String> {
    dimensions(content)?;
    DynamicImage::from_decoder(decoder(content)?).map_err(|error| format!("is not a PNG image: {error}"))
}

/// What of the design's images has a good header and no good picture.
pub fn find_broken(files: &Files) -> Vec<BadDesign> {
    let images = files.iter().filter(|(path, _)| path.ends_with(".png"));
    let broken = images.filter_map(|(path, content)| {
        let reason = decode(content).err()?;
        Some(BadDesign { file: path.clone(), line: None, reason })
    });
    broken.collect()
}

/// The picture alone, encoded again: whatever else the file carried (places, names, a second file) is gone. As small as it
/// gets, for this is done once for all the passes that show it.
pub fn clean(content: &[u8]) -> Result<Vec<u8>, String> {
    let mut cleaned = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut cleaned, CompressionType::Best, FilterType::Adaptive);
    decode(content)?.write_with_encoder(encoder).map_err(|error| format!("cannot be encoded: {error}"))?;
    Ok(cleaned)
}

/// Every image of a design that was checked, cleaned.
pub fn clean_all(files: Files) -> Result<Files, BadDesign> {
    let cleaned = files.into_iter().map(|(name, content)| {
        if !name.ends_with(".png") {
            return Ok((name, content));
        }
        let cleaned = clean(&content).map_err(|reason| BadDesign { file: name.clone(), line: None, reason })?;
        Ok((name, cleaned))
    });
    cleaned.collect()
}
