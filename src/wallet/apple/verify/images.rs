//! The images of a bundle: whether a phone finds and reads them.

use crate::wallet::apple::verify::Contents;
use crate::wallet::fault::Fault;

/// Names that phones look for.
const KNOWN: &[&str] = &[
    "icon",
    "logo",
    "strip",
    "thumbnail",
    "background",
    "footer",
    "artwork",
    "primaryLogo",
    "secondaryLogo",
    "venueMap",
    "personalizationLogo",
];

pub fn check(files: &Contents, style: Option<&str>, faults: &mut Vec<Fault>) {
    let is_icon = |path: &str| matches!(stem(path), Some("icon"));
    if !files.keys().any(|path| is_icon(path)) {
        faults.push(Fault::refused("icon", "no icon"));
    } else if !files.keys().any(|path| is_icon(path) && path.contains('@')) {
        faults.push(Fault::poor(
            "icon-scale",
            "no icon@2x.png or icon@3x.png: the icon is blurred on every phone in use",
        ));
    }
    for (path, content) in files.iter().filter(|(path, _)| path.ends_with(".png")) {
        if let Err(reason) = dimensions(content) {
            let is_needed = is_icon(path);
            let fault = format!("{path} {reason}");
            faults.push(if is_needed { Fault::refused("image", fault) } else { Fault::ignored("image", fault) });
        }
        let name = stem(path).unwrap_or_default();
        let bare = name.trim_end_matches(['2', '3', 'x', '-', '_']);
        if name != bare && KNOWN.contains(&bare) {
            faults.push(Fault::ignored("image-name", format!("{path}: the scale is written {bare}@2x.png")));
        }
        if let Some((folder, file)) = path.split_once('/')
            && folder.ends_with(".lproj")
            && files.contains_key(file)
        {
            faults.push(Fault::ignored("image-language", format!("{path} is hidden by {file} at the top")));
        }
    }
    if style == Some("eventTicket") && files.keys().any(|path| stem(path) == Some("strip")) {
        let hidden = files.keys().find(|path| matches!(stem(path), Some("background" | "thumbnail")));
        if let Some(hidden) = hidden {
            faults.push(Fault::ignored("image-strip", format!("{hidden} is not shown beside a strip")));
        }
    }
}

/// `icon` of `en.lproj/icon@2x.png`.
fn stem(path: &str) -> Option<&str> {
    let file = path.rsplit('/').next()?;
    let stem = file.strip_suffix(".png").or_else(|| file.strip_suffix(".pdf"))?;
    Some(stem.split('@').next().unwrap_or(stem))
}

/// Width and height of a PNG, from its header.
fn dimensions(content: &[u8]) -> Result<(u32, u32), &'static str> {
    let header = content.strip_prefix(b"\x89PNG\r\n\x1a\n").ok_or("is not a PNG image")?;
    let header =
        header.get(4..16).and_then(|header| header.strip_prefix(b"IHDR")).ok_or("is a PNG image without a head")?;
    let side = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    match (side(0), side(4)) {
        (Some(wide @ 1..), Some(high @ 1..)) => Ok((wide, high)),
        _ => Err("is a PNG image without a size"),
    }
}
