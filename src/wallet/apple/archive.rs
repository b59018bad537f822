//! The zip around a bundle, written flat and in two pieces: what all passes of a template version share, and what is
//! one pass's own. A general zip writer would copy the shared piece for every pass.
//!
//! Plain PKZIP 2.0: stored or deflated entries with sizes in their headers, no zip64, no data descriptors.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;

/// 1980-01-01, the zero of zip's clock: the same content makes the same bytes.
const DOS_DATE: u16 = 0x0021;

/// Entries one after the other, and the directory that will follow them.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// Length of what stands before `body` in the file.
    offset: usize,
    body: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Archive {
    /// Goes on after `shared`, whose body is not copied.
    pub fn continue_after(shared: &Self, capacity: usize) -> Self {
        Self {
            offset: shared.offset + shared.body.len(),
            body: Vec::with_capacity(capacity + shared.directory.len()),
            directory: shared.directory.clone(),
            entries: shared.entries,
        }
    }

    /// Adds a file as it is.
    pub fn store(&mut self, name: &str, content: &[u8]) {
        self.entry(name, content.len(), crc32fast::hash(content), 0, content);
    }

    /// Adds a file compressed, or as it is when that is smaller.
    pub fn deflate(&mut self, name: &str, content: &[u8]) {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        let packed = encoder.write_all(content).and_then(|()| encoder.finish()).expect("writing to memory cannot fail");
        if packed.len() < content.len() {
            self.entry(name, content.len(), crc32fast::hash(content), 8, &packed);
        } else {
            self.store(name, content);
        }
    }

    fn entry(&mut self, name: &str, size: usize, crc: u32, method: u16, data: &[u8]) {
        let at = self.offset + self.body.len();
        put32(&mut self.body, LOCAL);
        header(&mut self.body, name, size, crc, method, data.len());
        self.body.extend_from_slice(name.as_bytes());
        self.body.extend_from_slice(data);

        put32(&mut self.directory, CENTRAL);
        put16(&mut self.directory, 20); // made by: PKZIP 2.0 on no particular system
        header(&mut self.directory, name, size, crc, method, data.len());
        self.directory.extend_from_slice(&[0; 10]); // comment, disk, attributes
        put32(&mut self.directory, small(at));
        self.directory.extend_from_slice(name.as_bytes());
        self.entries += 1;
    }

    /// The entries so far, without a directory.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body followed by the directory of everything, shared entries included.
    pub fn finish(self) -> Vec<u8> {
        let at = self.offset + self.body.len();
        let mut file = self.body;
        file.extend_from_slice(&self.directory);
        put32(&mut file, END);
        file.extend_from_slice(&[0; 4]); // disk numbers
        put16(&mut file, self.entries);
        put16(&mut file, self.entries);
        put32(&mut file, small(self.directory.len()));
        put32(&mut file, small(at));
        put16(&mut file, 0); // comment
        file
    }
}

/// What local and central headers have in common, from "version needed" to "extra length".
fn header(to: &mut Vec<u8>, name: &str, size: usize, crc: u32, method: u16, packed: usize) {
    put16(to, 20);
    put16(to, 0); // flags
    put16(to, method);
    put16(to, 0); // time
    put16(to, DOS_DATE);
    put32(to, crc);
    put32(to, small(packed));
    put32(to, small(size));
    put16(to, u16::try_from(name.len()).expect("names are a few bytes long"));
    put16(to, 0); // extra
}

/// Images are at most 5 MiB each and few: a bundle is far below zip's 4 GiB.
fn small(number: usize) -> u32 {
    u32::try_from(number).expect("a bundle is below 4 GiB")
}

fn put16(to: &mut Vec<u8>, number: u16) {
    to.extend_from_slice(&number.to_le_bytes());
}

fn put32(to: &mut Vec<u8>, number: u32) {
    to.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn another_reader_finds_every_file_of_both_pieces() {
        let mut shared = Archive::default();
        let long = "repeat ".repeat(400);
        shared.deflate("a/long.txt", long.as_bytes());
        shared.deflate("short", b"x");
        let mut own = Archive::continue_after(&shared, 100);
        own.store("pass.json", b"{}");
        let file = [shared.body().to_vec(), own.finish()].concat();
        assert!(file.len() < long.len());

        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&file)).unwrap();
        let mut read = |name: &str| {
            let mut text = String::new();
            zip.by_name(name).unwrap().read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(read("a/long.txt"), long);
        assert_eq!(read("short"), "x");
        assert_eq!(read("pass.json"), "{}");
        assert_eq!(zip.len(), 3);
    }
}
