//! Zips from strangers: each trick is refused by its rule, quickly, and with little memory.

use std::io::{Cursor, Write as _};
use std::time::{Duration, Instant};

use passarela::wallet::check::check;
use passarela::wallet::design::{Files, archive::unpack, images};
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::sample::files;

type Writer = ZipWriter<Cursor<Vec<u8>>>;

/// What an upload comes to: the files that are kept, or why they are not.
fn take(zip: &[u8]) -> Result<Files, String> {
    let files = unpack(zip).map_err(|fault| fault.to_string())?;
    check(&files).map_err(|faults| faults.to_string())?;
    images::clean_all(files).map_err(|fault| fault.to_string())
}

fn zip(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    fill(&mut writer);
    writer.finish().unwrap().into_inner()
}

fn put(writer: &mut Writer, name: &str, content: &[u8]) {
    writer.start_file(name, SimpleFileOptions::default()).unwrap();
    writer.write_all(content).unwrap();
}

fn packed(files: &Files, prefix: &str) -> Vec<u8> {
    zip(|writer| files.iter().for_each(|(name, content)| put(writer, &format!("{prefix}{name}"), content)))
}

/// The design's zip with one more file.
fn with(name: &str, content: &[u8]) -> Vec<u8> {
    zip(|writer| {
        files().iter().for_each(|(name, content)| put(writer, name, content));
        put(writer, name, content);
    })
}

/// Every occurrence of some bytes changed to others of the same length: what no honest writer writes.
fn forged(zip: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = zip.to_vec();
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
    bytes
}

/// A number in the central directory's entry of a file, changed.
fn directory_says(zip: &[u8], name: &str, offset: usize, value: u32) -> Vec<u8> {
    let mut bytes = zip.to_vec();
    let at = bytes
        .windows(46 + name.len())
        .position(|window| window.starts_with(b"PK\x01\x02") && window.ends_with(name.as_bytes()))
        .unwrap();
    bytes[at + offset..at + offset + 4].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// The same unpacked size in an entry's own header and in the directory.
fn both_say(zip: &[u8], name: &str, value: u32) -> Vec<u8> {
    let mut bytes = directory_says(zip, name, 24, value);
    let at = bytes
        .windows(30 + name.len())
        .position(|window| window.starts_with(b"PK\x03\x04") && window.ends_with(name.as_bytes()))
        .unwrap();
    bytes[at + 22..at + 26].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// A PNG whose header promises a picture of this size.
fn promising(width: u32, height: u32) -> Vec<u8> {
    let mut png = files()["strip.png"].clone();
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32fast::hash(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

/// A PNG with a compressed text that unpacks to `bytes` zeros.
fn with_text_bomb(bytes: usize) -> Vec<u8> {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&vec![0; bytes]).unwrap();
    let chunk = [b"zTXtComment\0\0", packer.finish().unwrap().as_slice()].concat();
    let png = files()["icon.png"].clone();
    let length = u32::try_from(chunk.len() - 4).unwrap().to_be_bytes();
    let crc = crc32fast::hash(&chunk).to_be_bytes();
    [&png[..33], &length, &chunk, &crc, &png[33..]].concat()
}

#[test]
fn a_designs_zip_is_unpacked_with_or_without_its_folder() {
    let plain = unpack(&packed(&files(), "")).unwrap();
    assert_eq!(plain.keys().collect::<Vec<_>>(), files().keys().collect::<Vec<_>>());
    assert_eq!(plain["template.toml"], files()["template.toml"]);
    assert_eq!(unpack(&packed(&files(), "clube-aurora/")).unwrap(), plain);
    let with_leftovers = zip(|writer| {
        files().iter().for_each(|(name, content)| put(writer, name, content));
        put(writer, "__MACOSX/._logo.png", b"x");
        put(writer, ".DS_Store", b"x");
        put(writer, "artwork/logo.svg", b"<svg/>");
        writer.add_directory("en/", SimpleFileOptions::default()).unwrap();
    });
    assert_eq!(unpack(&with_leftovers).unwrap(), plain);
}

#[test]
fn whatever_else_an_image_carries_is_gone() {
    let mut dirty = files();
    let png = with_text_bomb(100);
    assert!(png.windows(7).any(|window| window == b"Comment"));
    dirty.insert("icon.png".to_owned(), [png, b"PK a second file".to_vec()].concat());
    let clean = take(&packed(&dirty, "")).unwrap();
    assert!(!clean["icon.png"].windows(7).any(|window| window == b"Comment" || window == b"PK a se"));
    let pixels = |png: &[u8]| image::load_from_memory(png).unwrap().to_rgba8().into_raw();
    assert_eq!(pixels(&clean["icon.png"]), pixels(&files()["icon.png"]), "the picture is the same");
}

#[test]
fn every_trick_is_refused_by_its_rule() {
    let good = packed(&files(), "");
    let deflated = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let bomb = zip(|writer| {
        files().iter().for_each(|(name, content)| put(writer, name, content));
        writer.start_file("strip.png", deflated).unwrap_err();
        writer.start_file("thumbnail.png", deflated).unwrap();
        (0..20).for_each(|_| writer.write_all(&vec![0; 1 << 20]).unwrap());
    });
    let link = zip(|writer| writer.add_symlink("template.toml", "/etc/passwd", SimpleFileOptions::default()).unwrap());
    let many = zip(|writer| (0..201).for_each(|n| put(writer, &format!("n{n}.png"), b"")));
    let nested = with("inner.zip", &good);
    let twice = forged(&with("logo@3X.png", b"x"), b"logo@3X.png", b"logo@3x.png");
    let mut broken = files();
    broken.insert("logo@2x.png".to_owned(), files()["logo@2x.png"][..600].to_vec());
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("no zip", b"hello".to_vec(), "cannot be read"),
        ("cut off", good[..good.len() - 30].to_vec(), "cannot be read"),
        ("too heavy", vec![0; (10 << 20) + 1], "is over 10 MiB"),
        ("too many entries", many, "at most 200"),
        ("a twin by case", with("LOGO.png", b"x"), "by case alone"),
        ("the same name twice", twice, "several entries of one name"),
        ("a Unicode twin", with("logo\u{301}.png", b"x"), "other characters"),
        ("up and away", with("../template.toml", b"x"), "leads out of the folder"),
        ("a root", with("/etc/x.png", b"x"), "leads out of the folder"),
        ("a drive", with("c:x.png", b"x"), "leads out of the folder"),
        ("a backslash", forged(&with("aXb.png", b"x"), b"aXb.png", b"a\\b.png"), "has a backslash"),
        ("a long name", with(&"n".repeat(129), b"x"), "has a name of 129 bytes"),
        ("a link", link, "is a link or a device"),
        ("another kind of file", with("run.sh", b"x"), "is no file of a design"),
        ("a zip in the zip", nested, "is no file of a design"),
        ("a bomb", bomb, "unpacks to over 100 times"),
        ("a size too small", directory_says(&good, "logo.png", 24, 10), "is of another size in its own header"),
        ("a size too large", directory_says(&good, "pt-BR.toml", 24, 5_000), "is of another size in its own header"),
        ("a size too small twice", both_say(&good, "logo.png", 10), "larger than its declared"),
        ("a size too large twice", both_say(&good, "pt-BR.toml", 5_000), "is not of the size"),
        ("something before it", [b"#!/bin/sh\n", good.as_slice()].concat(), "before its first entry"),
        ("something behind it", [good.as_slice(), b"<html>"].concat(), "behind its end"),
        ("an entry over another", directory_says(&good, "logo.png", 42, 0), "lie over each other"),
        ("encrypted", directory_says(&good, "logo.png", 8, 1 | 8 << 16), "is encrypted"),
        ("another packing", directory_says(&good, "logo.png", 8, 12 << 16), "is packed with"),
        ("a picture of 16 gigapixels", with("thumbnail.png", &promising(131_072, 131_072)), "is 131072×131072 pixels"),
        ("a picture with one long side", with("thumbnail.png", &promising(5_000, 1)), "at most 4096 a side"),
        ("a text", with("thumbnail.png", b"<svg onload=alert(1)>"), "is not a PNG image"),
        ("a broken picture", packed(&broken, ""), "logo@2x.png: is not a PNG image"),
    ];
    for (name, zip, rule) in cases {
        let begun = Instant::now();
        let refusal = take(&zip).expect_err(name);
        assert!(refusal.contains(rule), "{name}: {refusal}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{name} does not end");
    }
}

#[test]
fn a_compressed_text_of_any_size_is_not_unpacked() {
    let mut files = files();
    files.insert("icon.png".to_owned(), with_text_bomb(96 << 20));
    // Whether the reader skips it or refuses it: it must not fill the memory.
    let before = peak_kib();
    drop(take(&packed(&files, "")));
    assert!(peak_kib() < before + 64 * 1024, "{} KiB more", peak_kib() - before);
}

/// The most memory that this process had so far.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
