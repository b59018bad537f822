//! The text in a pass's barcode, made for scanners.
//!
//! Thirty bytes: one of version and type, one of key id, twelve of a random code id, sixteen of MAC; written as 48
//! characters of upper-case Crockford base32, which QR codes hold in alphanumeric mode (a 29×29 code) and which fit the
//! 64 bytes of an NFC message. Nothing personal, nothing that can be counted up, and a forged code is refused before
//! any look-up.

/// Length of the random id inside a code, in bytes.
pub const CODE_ID_LEN: usize = 12;
const MAC_LEN: usize = 16;
const LEN: usize = 2 + CODE_ID_LEN + MAC_LEN;

/// Version 1 in the high half, type "pass" in the low half.
const PASS_V1: u8 = 0x11;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The code of a pass. `mac` is given the fourteen bytes before the MAC and answers at least sixteen bytes.
pub fn pass_code(key_id: u8, code_id: [u8; CODE_ID_LEN], mac: impl FnOnce(&[u8]) -> [u8; 32]) -> String {
    let mut bytes = Vec::with_capacity(LEN);
    bytes.push(PASS_V1);
    bytes.push(key_id);
    bytes.extend_from_slice(&code_id);
    let mac = mac(&bytes);
    bytes.extend(mac.iter().take(MAC_LEN));
    base32(&bytes)
}

/// A code as it was read, not yet believed.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadCode {
    pub key_id: u8,
    pub code_id: [u8; CODE_ID_LEN],
    /// What the MAC was made over.
    pub signed: [u8; 2 + CODE_ID_LEN],
    pub mac: [u8; MAC_LEN],
}

/// Takes a code apart. Case does not matter, and the letters that people misread (O, I, L) are the digits they look
/// like, as Crockford has it. `None`: not a pass code of this version.
pub fn read_pass_code(text: &str) -> Option<ReadCode> {
    let bytes = unbase32(text.trim())?;
    let (signed, mac) = bytes.split_first_chunk::<{ 2 + CODE_ID_LEN }>()?;
    let [PASS_V1, key_id, code_id @ ..] = *signed else { return None };
    Some(ReadCode { key_id, code_id, signed: *signed, mac: mac.try_into().ok()? })
}

/// The bytes of exactly [`LEN`] written out; `None` for a stranger's letter or length.
fn unbase32(text: &str) -> Option<Vec<u8>> {
    if text.len() != LEN / 5 * 8 {
        return None;
    }
    let mut bytes = Vec::with_capacity(LEN);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for letter in text.bytes() {
        let letter = match letter.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => other,
        };
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        buffer = (buffer << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits).ok()?);
            buffer &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

/// Five bits a character; thirty bytes divide into 48 of them without a rest.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let index = (buffer >> bits) & 31;
            text.extend(ALPHABET.get(index as usize).map(|letter| char::from(*letter)));
        }
        buffer &= (1 << bits) - 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_48_characters_that_a_qr_code_holds_in_alphanumeric_mode() {
        let code = pass_code(1, [0xff; CODE_ID_LEN], |signed| {
            assert_eq!(signed.len(), 14);
            [0; 32]
        });
        assert_eq!(code, "240ZZZZZZZZZZZZZZZZZZZR0000000000000000000000000");
        assert_eq!(code.len(), 48);
    }

    #[test]
    fn a_code_is_read_as_it_was_written_and_as_people_misread_it() {
        let id = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8];
        let code = pass_code(7, id, |_| [0x5a; 32]);
        let read = read_pass_code(&code).unwrap();
        assert_eq!((read.key_id, read.code_id, read.mac), (7, id, [0x5a; 16]));
        let misread = code.to_lowercase().replace('0', "o").replacen('1', "l", 1).replacen('1', "i", 1);
        assert_eq!(read_pass_code(&format!(" {misread}\n")), Some(read));
        for wrong in [
            "",
            "240",
            &code.replacen("24", "2", 1),
            &format!("{code}0"),
            &code.replace('2', "U"),
            &code.replacen('2', "4", 1),
        ] {
            assert_eq!(read_pass_code(wrong), None, "{wrong}");
        }
    }
}
