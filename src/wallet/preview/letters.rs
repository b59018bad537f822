//! How wide a text is, in the letters that pictures are drawn with.

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider as _};

/// A part of Inter: Latin letters, digits, punctuation. Its licence stands beside it.
pub const REGULAR: &[u8] = include_bytes!("fonts/Inter-Regular.otf");
pub const SEMI_BOLD: &[u8] = include_bytes!("fonts/Inter-SemiBold.otf");

/// Letters of one text that are looked at: no picture shows more on a line, nor in a paragraph.
const LETTERS_MAX: usize = 2_000;

/// Points that the text takes at this size. Letters that the font lacks count as a wide one.
pub fn width(text: &str, size: f64, is_bold: bool) -> f64 {
    let font = FontRef::new(if is_bold { SEMI_BOLD } else { REGULAR });
    let Ok(font) = font else { return 0.6 * size * text.chars().count() as f64 };
    let metrics = font.glyph_metrics(Size::unscaled(), LocationRef::default());
    let em = f64::from(font.metrics(Size::unscaled(), LocationRef::default()).units_per_em);
    let letters = font.charmap();
    let advance = |c: char| letters.map(c).and_then(|glyph| metrics.advance_width(glyph)).map_or(em, f64::from);
    text.chars().map(advance).sum::<f64>() * size / em.max(1.0)
}

/// As much of the text as fits, with an ellipsis for the rest.
pub fn cut(text: &str, size: f64, is_bold: bool, room: f64) -> String {
    let text: String = text.chars().take(LETTERS_MAX).collect();
    if width(&text, size, is_bold) <= room {
        return text;
    }
    let room = room - width("…", size, is_bold);
    let (mut kept, mut taken) = (String::new(), 0.0);
    for c in text.chars() {
        taken += width(c.encode_utf8(&mut [0; 4]), size, is_bold);
        if taken > room {
            break;
        }
        kept.push(c);
    }
    if kept.is_empty() { kept } else { kept + "…" }
}

/// The text in lines of at most `room` points, broken at blanks where it can be; at most `max` lines.
pub fn wrap(text: &str, size: f64, room: f64, max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let text: String = text.chars().take(LETTERS_MAX).collect();
    for paragraph in text.split('\n').take(max) {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if line.is_empty() || width(&longer, size, false) <= room {
                line = longer;
            } else {
                lines.push(cut(&line, size, false, room));
                line = word.to_owned();
            }
        }
        lines.push(cut(&line, size, false, room));
    }
    lines.truncate(max);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_wrapped_to_its_room() {
        assert!(width("iiii", 10.0, false) < width("MMMM", 10.0, false));
        assert!(width("word", 20.0, false) > 1.9 * width("word", 10.0, false));
        let cut = cut("Pães, queijos e vinhos", 20.0, true, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 20.0, true) <= 100.0, "{cut}");
        let lines = wrap("um dois três quatro cinco seis sete oito", 12.0, 80.0, 9);
        assert!(lines.len() > 2 && lines.iter().all(|line| width(line, 12.0, false) <= 80.0), "{lines:?}");
        assert_eq!(wrap("a\nb\nc", 12.0, 80.0, 2), ["a", "b"]);
    }
}
