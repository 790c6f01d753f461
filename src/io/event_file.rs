//! Event files of TensorBoard: records of scalars by step.
//!
//! A record is, in little-endian order, the length of its data (u64), the masked CRC-32C of these eight bytes (u32), the data,
//! and the masked CRC-32C of the data (u32) (TensorFlow, TFRecord and tf.train.Example, "TFRecords format details"). The data is an
//! `Event` in the encoding of Protocol Buffers (tensorflow/core/util/event.proto and framework/summary.proto):
//! wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5; a `Summary` has values = 1, and each
//! value tag = 1 (string) and simple_value = 2 (float).

/// The folder of the event file in a run's folder.
pub const FOLDER: &str = "tensorboard";
/// The name of the event file. TensorBoard reads files whose name has "tfevents" in it.
pub const NAME: &str = "events.out.tfevents";

/// The words of the first event, by which a reader knows the format.
const VERSION: &str = "brain.Event:2";

/// Wire types of Protocol Buffers.
const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const LENGTH_FIRST: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// Returns the record that an event file begins with, of the `time` in seconds since 1970.
#[must_use]
pub fn first_record(time: f64) -> Vec<u8> {
    let mut event = wall_time(time);
    put_bytes(&mut event, 3, VERSION.as_bytes());
    record(&event)
}

/// Returns the record of the `scalars`, tags with their values, after `step` steps, at the `time` in seconds since 1970.
#[must_use]
pub fn scalars_record<'a>(
    time: f64,
    step: u64,
    scalars: impl IntoIterator<Item = (&'a str, f64)>,
) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in scalars {
        let mut value = Vec::new();
        put_bytes(&mut value, 1, tag.as_bytes());
        put_key(&mut value, 2, FOUR_BYTES);
        #[allow(clippy::cast_possible_truncation, reason = "the format has floats")]
        value.extend((number as f32).to_le_bytes());
        put_bytes(&mut summary, 1, &value);
    }
    let mut event = wall_time(time);
    put_key(&mut event, 2, VARINT);
    put_varint(&mut event, step);
    put_bytes(&mut event, 5, &summary);
    record(&event)
}

/// Returns the beginning of an event: its time, in seconds since 1970.
fn wall_time(time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    put_key(&mut event, 1, EIGHT_BYTES);
    event.extend(time.to_le_bytes());
    event
}

/// Returns `data` with its length and both checksums around it.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked(crc32c(&length)).to_le_bytes());
    record.extend(data);
    record.extend(masked(crc32c(data)).to_le_bytes());
    record
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_key(bytes: &mut Vec<u8>, field: u64, wire_type: u64) {
    put_varint(bytes, (field << 3) | wire_type);
}

fn put_bytes(bytes: &mut Vec<u8>, field: u64, content: &[u8]) {
    put_key(bytes, field, LENGTH_FIRST);
    put_varint(bytes, content.len() as u64);
    bytes.extend(content);
}

/// Returns the CRC-32C of `bytes`: Castagnoli's polynomial 0x1EDC6F41, bits reversed (RFC 3720, section 12.1). The crate
/// crc32fast has another polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    const REVERSED: u32 = 0x82F6_3B78;
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (REVERSED * (crc & 1))
        })
    })
}

/// Returns the checksum as records hold it, so that a checksum of data that hold checksums stays a good one.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // RFC 3720, B.4, and the check value of CRC-32C in catalogues.
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xff; 32]), 0x62A8_AB43);
    }

    #[test]
    fn an_event_is_encoded_as_by_hand() {
        let record = scalars_record(1.0, 300, [("ab", 0.5)]);
        let data = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f][..],
            // 300 = 2 * 128 + 44.
            &[0x10, 0xac, 0x02],
            // The summary, 11 bytes: a value, 9 bytes: its tag and 0.5.
            &[0x2a, 11, 0x0a, 9, 0x0a, 2, b'a', b'b', 0x15, 0, 0, 0, 0x3f],
        ];
        assert_eq!(record[12..record.len() - 4], data.concat());
        assert_eq!(record[..8], 25_u64.to_le_bytes());
        let first = first_record(1.0);
        assert!(first[12..].ends_with(&first[first.len() - 4..]));
        assert_eq!(first[21..23], [0x1a, 13]);
    }
}
