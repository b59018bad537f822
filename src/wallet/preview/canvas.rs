//! SVG, written element by element. Whatever text it is given arrives as text.

use std::fmt::Write as _;

use crate::domain::text::is_control;
use crate::wallet::preview::letters;

const FAMILY: &str = "Inter,-apple-system,Helvetica,Arial,sans-serif";

pub struct Canvas {
    width: f64,
    height: f64,
    body: String,
    /// Counts what needs a name of its own in the document.
    names: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Middle,
    Right,
}

/// A line of text: `y` is its base line.
#[derive(Clone, Copy)]
pub struct Label<'a> {
    pub text: &'a str,
    pub x: f64,
    pub y: f64,
    pub size: f64,
    pub is_bold: bool,
    pub color: &'a str,
    pub align: Align,
    /// Points it may take; shrunk to seven tenths first, then cut.
    pub room: f64,
}

impl<'a> Label<'a> {
    pub const fn new(text: &'a str) -> Self {
        Self { text, x: 0.0, y: 0.0, size: 12.0, is_bold: false, color: "#000000", align: Align::Left, room: f64::MAX }
    }
}

impl Canvas {
    pub const fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new(), names: 0 }
    }

    pub const fn width(&self) -> f64 {
        self.width
    }

    pub const fn height(&self) -> f64 {
        self.height
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        self.body.write_fmt(element).expect("writing to memory cannot fail");
    }

    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, radius: f64, fill: &str) {
        let fill = escape(fill);
        self.put(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="{radius:.1}" fill="{fill}"/>"#
        ));
    }

    pub fn path(&mut self, path: &str, fill: &str) {
        let (path, fill) = (escape(path), escape(fill));
        self.put(format_args!(r#"<path d="{path}" fill="{fill}"/>"#));
    }

    /// A veil of one colour, of one opacity above and another below.
    pub fn veil(&mut self, x: f64, y: f64, width: f64, height: f64, color: &str, opacity: (f64, f64)) {
        self.names += 1;
        let (from, to) = opacity;
        let (name, color) = (self.names, escape(color));
        self.put(format_args!(
            r#"<linearGradient id="v{name}" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="{color}" stop-opacity="{from}"/><stop offset="1" stop-color="{color}" stop-opacity="{to}"/></linearGradient><rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="url(#v{name})"/>"#
        ));
    }

    /// An image that covers the box, cut at its edges.
    pub fn cover(&mut self, address: &str, x: f64, y: f64, width: f64, height: f64) {
        self.image(address, x, y, width, height, "xMidYMid slice");
    }

    /// An image whole inside the box, at its left.
    pub fn fit(&mut self, address: &str, x: f64, y: f64, width: f64, height: f64) {
        self.image(address, x, y, width, height, "xMinYMid meet");
    }

    fn image(&mut self, address: &str, x: f64, y: f64, width: f64, height: f64, aspect: &str) {
        let address = escape(address);
        self.put(format_args!(
            r#"<svg x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"><image href="{address}" width="{width:.1}" height="{height:.1}" preserveAspectRatio="{aspect}"/></svg>"#
        ));
    }

    pub fn text(&mut self, label: Label<'_>) {
        let shown: String = label.text.chars().map(|c| if is_control(c) { ' ' } else { c }).collect();
        let natural = letters::width(&shown, label.size, label.is_bold);
        let size =
            if natural > label.room { (label.size * label.room / natural).max(label.size * 0.7) } else { label.size };
        let shown = letters::cut(&shown, size, label.is_bold, label.room + 0.5);
        if shown.is_empty() {
            return;
        }
        let anchor = match label.align {
            Align::Left => "start",
            Align::Middle => "middle",
            Align::Right => "end",
        };
        let weight = if label.is_bold { 600 } else { 400 };
        let (x, y, color, text) = (label.x, label.y, escape(label.color), escape(&shown));
        self.put(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" font-family="{FAMILY}" font-size="{size:.1}" font-weight="{weight}" fill="{color}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    /// Everything drawn so far, seen only inside a path.
    pub fn clip(&mut self, path: &str) {
        self.names += 1;
        let (name, path, body) = (self.names, escape(path), std::mem::take(&mut self.body));
        self.put(format_args!(
            r#"<clipPath id="c{name}"><path d="{path}"/></clipPath><g clip-path="url(#c{name})">{body}</g>"#
        ));
    }

    /// Another picture inside this one.
    pub fn nest(&mut self, inner: Self, x: f64, y: f64) {
        let (width, height) = (inner.width, inner.height);
        // Names are made unique by what stands around them.
        self.names += 1;
        let prefix = self.names;
        let body = inner.body.replace("id=\"", &format!("id=\"n{prefix}")).replace("url(#", &format!("url(#n{prefix}"));
        self.put(format_args!(r#"<svg x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}">{body}</svg>"#));
    }

    pub fn finish(self) -> String {
        let Self { width, height, body, .. } = self;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}">{body}</svg>"#
        )
    }
}

/// A box with round corners as a path.
pub fn rounded(width: f64, height: f64, radius: f64) -> String {
    let (right, bottom) = (width - radius, height - radius);
    format!(
        "M{radius} 0H{right}A{radius} {radius} 0 0 1 {width} {radius}V{bottom}A{radius} {radius} 0 0 1 {right} {height}H{radius}A{radius} {radius} 0 0 1 0 {bottom}V{radius}A{radius} {radius} 0 0 1 {radius} 0Z"
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // No XML document may hold these.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
