//! Pictures as PNG files in the page itself (W3C, Portable Network Graphics, third edition): an image costs no request.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::report::trained::Picture;

/// The first bytes of a PNG file.
const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];

/// Returns `picture` as a PNG file.
pub(super) fn png(picture: &Picture) -> Vec<u8> {
    let (width, height) = picture.size;
    let mut header = Vec::new();
    header.extend((width as u32).to_be_bytes());
    header.extend((height as u32).to_be_bytes());
    // Eight bits; grey or colours; no other compression, filter or interlacing is defined.
    header.extend([8, if picture.channels == 3 { 2 } else { 0 }, 0, 0, 0]);
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    for row in picture.bytes.chunks(width * picture.channels) {
        // Each row begins with the number of its filter.
        packed.write_all(&[0]).expect("memory takes all");
        packed.write_all(row).expect("memory takes all");
    }
    let packed = packed.finish().expect("memory takes all");
    let mut file = SIGNATURE.to_vec();
    for (name, content) in [
        (b"IHDR", &header),
        (b"IDAT", &packed),
        (b"IEND", &Vec::new()),
    ] {
        file.extend((content.len() as u32).to_be_bytes());
        let checked = [&name[..], content].concat();
        file.extend(&checked);
        file.extend(crc32fast::hash(&checked).to_be_bytes());
    }
    file
}

/// Returns `bytes` in base64 (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            match i <= three.len() {
                true => text.push(char::from(DIGITS[(bits >> (18 - 6 * i)) as usize % 64])),
                false => text.push('='),
            }
        }
    }
    text
}

/// Returns `picture` as an image of the page, with the words that stand for it.
pub(super) fn image(picture: &Picture, words: &str) -> String {
    format!(
        "<img class=\"pixels\" alt=\"{}\" src=\"data:image/png;base64,{}\">",
        super::escaped(words),
        base64(&png(picture))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_in_its_standard() {
        for (text, code) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), code);
        }
    }

    #[test]
    fn a_picture_unpacks_to_its_rows() {
        let picture = Picture {
            size: (3, 2),
            channels: 1,
            bytes: vec![1, 2, 3, 4, 5, 6],
        };
        let file = png(&picture);
        assert_eq!(
            file[12..33],
            *b"IHDR\x00\x00\x00\x03\x00\x00\x00\x02\x08\x00\x00\x00\x00\xb8\x1f\x39\xc6"
        );
        let length = u32::from_be_bytes(file[33..37].try_into().unwrap()) as usize;
        let mut rows = Vec::new();
        let mut unpacked = flate2::read::ZlibDecoder::new(&file[41..41 + length]);
        std::io::Read::read_to_end(&mut unpacked, &mut rows).unwrap();
        assert_eq!(rows, [0, 1, 2, 3, 0, 4, 5, 6]);
    }
}
